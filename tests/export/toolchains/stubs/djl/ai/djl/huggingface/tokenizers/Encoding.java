package ai.djl.huggingface.tokenizers;

public class Encoding {
    public native long[] getIds();
}
