// swift-tools-version: 6.2
import PackageDescription

// Every module of ours is held to the same language rules.
let house: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

/// One set of kernels, compiled for one instruction set from the sources that `Sources/Kernels/Shared` holds.
///
/// The `-march` flag reaches Swift's own code generation as well as the intrinsics; without it the compiler
/// cannot lower them. Cross-module optimisation is off so that nothing compiled for a wider instruction set
/// is inlined into code that runs on every processor.
func kernelVariant(_ name: String, folder: String, march: [String], define: String) -> Target {
    .target(
        name: name,
        dependencies: ["KernelTable"],
        path: "Sources/Kernels/\(folder)",
        swiftSettings: house + [
            .enableExperimentalFeature("BuiltinModule"),
            .define(define),
            .unsafeFlags(march.flatMap { ["-Xcc", $0] } + ["-disable-cmo"]),
        ])
}

#if arch(x86_64)
    let variants: [Target] = [
        kernelVariant("KernelsBaseline", folder: "Baseline", march: ["-march=x86-64-v2"], define: "KERNELS_BASELINE"),
        kernelVariant("KernelsAVX2", folder: "AVX2", march: ["-march=x86-64-v3"], define: "KERNELS_AVX2"),
        kernelVariant(
            "KernelsAVX512", folder: "AVX512", march: ["-march=x86-64-v4", "-mavx512vnni"], define: "KERNELS_AVX512"),
    ]
#else
    let variants: [Target] = [
        kernelVariant("KernelsBaseline", folder: "Baseline", march: [], define: "KERNELS_BASELINE")
    ]
#endif

/// Links the Swift runtime into the program, so that it runs where no Swift is installed, in the same build as the tests
/// (SwiftPM's own `--static-swift-stdlib` cannot build tests: Swift Testing comes as a dynamic library only). The archives
/// named are those that the static Foundation stands on; modules compiled against the dynamic one do not ask for them.
let staticRuntime = [
    "-static-stdlib", "-lswiftSynchronization", "-lswift_RegexParser",
    "-lCoreFoundation", "-l_FoundationICU", "-l_FoundationCShims", "-l_FoundationCollections",
]

let package = Package(
    name: "swiftlet",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "swiftlet", targets: ["swiftlet"]),
        .library(
            name: "Swiftlet",
            targets: [
                "Base", "Tensor", "GGUF", "Kernels", "RPCProto", "Jinja", "Model",
                "NodeWorker", "NodeEngine", "NodeCluster", "PeerMessages", "DHT", "NodePeers", "NodeServer", "NodeConsole",
                "Node",
            ]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.0.0"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.1.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.0"),
        .package(url: "https://github.com/apple/swift-certificates", from: "1.21.0"),
        .package(url: "https://github.com/apple/swift-asn1", from: "1.7.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
    ],
    targets: variants + [
        .target(
            name: "Base",
            dependencies: [
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: house),
        .target(name: "Tensor", swiftSettings: house),
        .target(name: "GGUF", dependencies: ["Base", "Tensor"], swiftSettings: house),
        .target(
            name: "KernelTable", path: "Sources/Kernels/Table",
            swiftSettings: house + [.enableExperimentalFeature("BuiltinModule")]),
        .target(
            name: "Kernels",
            dependencies: ["Base", "Tensor", "KernelTable"] + variants.map { .target(name: $0.name) },
            path: "Sources/Kernels/Backend",
            swiftSettings: house + [
                .enableExperimentalFeature("BuiltinModule"),
                .unsafeFlags(["-Xcc", "-mxsave"]),  // XGETBV, to ask which registers the system saves
            ]),
        .target(
            name: "RPCProto", dependencies: ["Base", "Tensor", .product(name: "Crypto", package: "swift-crypto")], swiftSettings: house),
        .target(
            name: "Jinja", dependencies: [.product(name: "OrderedCollections", package: "swift-collections")],
            path: "Sources/Model/Jinja", swiftSettings: house),
        .target(
            name: "Model", dependencies: ["Base", "Tensor", "GGUF", "Jinja"], path: "Sources/Model", exclude: ["Jinja"],
            swiftSettings: house),
        .target(
            name: "NodeWorker",
            dependencies: [
                "Base", "Tensor", "Kernels", "RPCProto",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            path: "Sources/Node/Worker", swiftSettings: house),
        .target(
            name: "NodeEngine", dependencies: ["Base", "Tensor", "GGUF", "Kernels", "Jinja", "Model"],
            path: "Sources/Node/Engine", swiftSettings: house),
        .target(
            name: "NodeCluster",
            dependencies: [
                "Base", "Tensor", "GGUF", "Kernels", "RPCProto", "Model", "NodeEngine",
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Sources/Node/Cluster", swiftSettings: house),
        .target(name: "PeerMessages", dependencies: ["Base"], path: "Sources/Node/Peers/Messages", swiftSettings: house),
        .target(
            name: "DHT", dependencies: [.product(name: "Crypto", package: "swift-crypto")], path: "Sources/Node/Peers/DHT",
            swiftSettings: house),
        .target(
            name: "NodePeers",
            dependencies: [
                "Base", "PeerMessages", "DHT", "Tensor", "RPCProto", "NodeWorker", "NodeEngine", "NodeCluster",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "NIOTLS", package: "swift-nio"),
                .product(name: "SwiftASN1", package: "swift-asn1"),
                .product(name: "X509", package: "swift-certificates"),
                .product(name: "Yams", package: "Yams"),
            ],
            path: "Sources/Node/Peers", exclude: ["Messages", "DHT"], swiftSettings: house),
        .target(
            name: "NodeServer",
            dependencies: [
                "Base", "RPCProto", "NodeWorker", "NodeEngine", "NodeCluster",
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
            ],
            path: "Sources/Node/Server", exclude: ["Page/Files"], swiftSettings: house),
        .target(
            name: "NodeConsole",
            dependencies: [
                "Base", "GGUF", "Kernels", "Model", "NodeEngine", "NodeCluster",
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            path: "Sources/Node/Console", swiftSettings: house),
        .target(
            name: "Node",
            dependencies: ["Base", "NodeWorker", "NodeEngine", "NodeCluster", "NodePeers", "NodeServer", "NodeConsole"],
            path: "Sources/Node/Exports", swiftSettings: house),
        .executableTarget(
            name: "swiftlet",
            dependencies: [
                "Base", "RPCProto", "Node",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: house,
            linkerSettings: [
                .unsafeFlags(staticRuntime, .when(platforms: [.linux])),
                // Without its symbols the program is a third of the size; nobody debugs what is installed.
                .unsafeFlags(["-Xlinker", "-s"], .when(platforms: [.linux], configuration: .release)),
            ]),
        .executableTarget(
            name: "embedded-worker",
            dependencies: [
                "Node",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            path: "Examples/EmbeddedWorker", swiftSettings: house),
        .executableTarget(
            name: "fuzz", dependencies: ["Base", "Tensor", "Kernels", "RPCProto", "PeerMessages", "DHT"], path: "Tests/Fuzz",
            exclude: ["capture.py"],
            swiftSettings: house),
        .executableTarget(name: "peer-probe", dependencies: ["NodePeers"], path: "Tests/PeerProbe", swiftSettings: house),
        .executableTarget(
            name: "tunnel-speed",
            dependencies: ["Base", "RPCProto", "NodeCluster", "NodePeers", .product(name: "Logging", package: "swift-log")],
            path: "Benchmarks/Tunnels", swiftSettings: house),
        .target(name: "TestSupport", dependencies: ["GGUF", "Tensor"], path: "Tests/Support", swiftSettings: house),
        .testTarget(
            name: "BaseTests", dependencies: ["Base", "TestSupport", .product(name: "Logging", package: "swift-log")], swiftSettings: house),
        .testTarget(name: "DHTTests", dependencies: ["DHT"], swiftSettings: house),
        .testTarget(name: "TensorTests", dependencies: ["Tensor", "RPCProto"], swiftSettings: house),
        .testTarget(name: "GGUFTests", dependencies: ["GGUF"], swiftSettings: house),
        .testTarget(
            name: "KernelsTests",
            dependencies: ["Tensor", "Kernels", "KernelTable", "TestSupport"] + variants.map { .target(name: $0.name) },
            swiftSettings: house),
        .testTarget(name: "RPCProtoTests", dependencies: ["RPCProto", "Kernels", "Tensor"], swiftSettings: house),
        .testTarget(name: "JinjaTests", dependencies: ["Jinja", "TestSupport"], swiftSettings: house),
        .testTarget(name: "ModelTests", dependencies: ["Model", "Jinja", "Kernels", "TestSupport"], swiftSettings: house),
        .testTarget(
            name: "NodeTests",
            dependencies: [
                "Base", "Node", "NodeWorker", "NodePeers", "Jinja", "Kernels", "Model", "RPCProto", "Tensor", "GGUF", "TestSupport",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "SwiftASN1", package: "swift-asn1"),
                .product(name: "X509", package: "swift-certificates"),
                .product(name: "Yams", package: "Yams"),
                .product(name: "HummingbirdTesting", package: "hummingbird"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: house),
    ]
)

// A build under a sanitizer takes long and needs few of the tests: `SWIFTLET_TESTS` names those that there are then.
if let names = Context.environment["SWIFTLET_TESTS"]?.split(separator: ",").map(String.init) {
    package.targets.removeAll { $0.type == .test && !names.contains($0.name) }
}
