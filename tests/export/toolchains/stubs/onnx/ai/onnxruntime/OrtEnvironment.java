package ai.onnxruntime;

import java.nio.ByteBuffer;

public final class OrtEnvironment implements AutoCloseable {
    public static native OrtEnvironment getEnvironment();

    public native OrtSession createSession(String modelPath, OrtSession.SessionOptions options) throws OrtException;

    public native OrtSession createSession(ByteBuffer modelBuffer, OrtSession.SessionOptions options) throws OrtException;

    @Override
    public native void close();
}
