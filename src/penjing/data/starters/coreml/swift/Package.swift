// swift-tools-version: 5.9

import PackageDescription

let package = Package(
    name: "LocalModel",
    platforms: [.iOS("18.0"), .macOS("15.0")],
    products: [.library(name: "LocalModel", targets: ["LocalModel"])],
    dependencies: [.package(url: "https://github.com/huggingface/swift-transformers", from: "1.3.0")],
    targets: [
        .target(
            name: "LocalModel",
            dependencies: [.product(name: "Tokenizers", package: "swift-transformers")]
        ),
        .executableTarget(name: "answer", dependencies: ["LocalModel"]),
    ]
)
