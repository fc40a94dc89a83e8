package ai.onnxruntime;

import java.util.Map;
import java.util.Optional;

public class OrtSession implements AutoCloseable {
    public native Result run(Map<String, ? extends OnnxTensorLike> inputs) throws OrtException;

    @Override
    public native void close() throws OrtException;

    public static class Result implements AutoCloseable {
        public native Optional<OnnxValue> get(String key);

        @Override
        public native void close();
    }

    public static class SessionOptions implements AutoCloseable {
        public native void setIntraOpNumThreads(int numThreads) throws OrtException;

        public native void addNnapi() throws OrtException;

        public native void addXnnpack(Map<String, String> providerOptions) throws OrtException;

        @Override
        public native void close();
    }
}
