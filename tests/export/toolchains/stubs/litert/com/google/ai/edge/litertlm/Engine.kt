package com.google.ai.edge.litertlm

import kotlinx.coroutines.flow.Flow

sealed class Backend(val name: String) {
    data class CPU(val threadCount: Int? = null) : Backend("CPU")

    class GPU : Backend("GPU")
}

data class EngineConfig(
    val modelPath: String,
    val backend: Backend = Backend.CPU(),
    val visionBackend: Backend? = null,
    val audioBackend: Backend? = null,
    val maxNumTokens: Int? = null,
    val maxNumImages: Int? = null,
    val cacheDir: String? = null,
)

class Message

class ConversationConfig

class Conversation : AutoCloseable {
    external fun sendMessageAsync(text: String, extraContext: Map<String, Any> = emptyMap()): Flow<Message>

    external override fun close()
}

class Engine(val engineConfig: EngineConfig) : AutoCloseable {
    external fun initialize()

    external fun createConversation(conversationConfig: ConversationConfig = ConversationConfig()): Conversation

    external override fun close()
}
