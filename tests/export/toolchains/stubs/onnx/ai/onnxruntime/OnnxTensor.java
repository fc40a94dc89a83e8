package ai.onnxruntime;

import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;

public class OnnxTensor extends OnnxTensorLike {
    public static native OnnxTensor createTensor(OrtEnvironment env, ByteBuffer data, long[] shape, OnnxJavaType type)
            throws OrtException;

    public static native OnnxTensor createTensor(OrtEnvironment env, IntBuffer data, long[] shape) throws OrtException;

    public static native OnnxTensor createTensor(OrtEnvironment env, LongBuffer data, long[] shape) throws OrtException;

    public native FloatBuffer getFloatBuffer();

    @Override
    public native void close();
}
