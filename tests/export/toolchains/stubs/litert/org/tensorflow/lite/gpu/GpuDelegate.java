package org.tensorflow.lite.gpu;

import org.tensorflow.lite.Delegate;

public class GpuDelegate implements Delegate, AutoCloseable {
    public GpuDelegate() {}

    @Override
    public native long getNativeHandle();

    @Override
    public native void close();
}
