package org.pytorch.executorch

import java.io.Closeable

open class Tensor {
    external fun getDataAsFloatArray(): FloatArray

    companion object {
        @JvmStatic external fun fromBlob(data: LongArray, shape: LongArray): Tensor
    }
}

open class EValue {
    external fun toTensor(): Tensor

    companion object {
        @JvmStatic external fun from(tensor: Tensor): EValue
    }
}

open class Module private constructor() : Closeable {
    external fun execute(methodName: String, vararg inputs: EValue): Array<EValue>

    external fun destroy()

    external override fun close()

    companion object {
        const val LOAD_MODE_MMAP = 1

        @JvmStatic @JvmOverloads external fun load(modelPath: String?, loadMode: Int = 0, numThreads: Int = 0): Module
    }
}
