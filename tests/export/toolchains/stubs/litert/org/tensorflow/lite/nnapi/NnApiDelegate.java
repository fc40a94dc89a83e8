package org.tensorflow.lite.nnapi;

import org.tensorflow.lite.Delegate;

public class NnApiDelegate implements Delegate, AutoCloseable {
    public NnApiDelegate() {}

    @Override
    public native long getNativeHandle();

    @Override
    public native void close();
}
