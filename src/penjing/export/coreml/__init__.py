"""The target `coreml`: a stateful Core ML program for iOS 18 and macOS 15, and what can be proved of it on Linux."""
