package ai.djl.huggingface.tokenizers;

import java.io.IOException;
import java.nio.file.Path;

public final class HuggingFaceTokenizer implements AutoCloseable {
    public static native HuggingFaceTokenizer newInstance(Path path) throws IOException;

    public native Encoding encode(String text, boolean addSpecialTokens, boolean withOverflowingTokens);

    public native String decode(long[] ids, boolean skipSpecialTokens);

    @Override
    public native void close();
}
