internal import RPCProto

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// The functions of `natpmp.h` that are used here, of the library that this machine has. It is looked for when it is needed.
package struct NATPMPLibrary: Sendable {
    typealias Client = UnsafeMutableRawPointer
    typealias Open = @convention(c) @Sendable (Client, Int32, UInt32) -> Int32
    typealias OfClient = @convention(c) @Sendable (Client) -> Int32
    typealias SendMapping = @convention(c) @Sendable (Client, Int32, UInt16, UInt16, UInt32) -> Int32
    typealias Read = @convention(c) @Sendable (Client, UnsafeMutableRawPointer) -> Int32

    let open: Open
    let close: OfClient
    let sendAddressRequest: OfClient
    let sendMappingRequest: SendMapping
    let read: Read

    package static var fileName: String {
        #if canImport(Darwin)
            "libnatpmp.1.dylib"
        #else
            "libnatpmp.so.1"
        #endif
    }

    /// Loads the library; it stays loaded.
    package init(fileName: String = NATPMPLibrary.fileName) throws(MappingError) {
        let library = try MappingLibrary(.natPMP, [fileName])
        open = try library.function("initnatpmp", Open.self)
        close = try library.function("closenatpmp", OfClient.self)
        sendAddressRequest = try library.function("sendpublicaddressrequest", OfClient.self)
        sendMappingRequest = try library.function("sendnewportmappingrequest", SendMapping.self)
        read = try library.function("readnatpmpresponseorretry", Read.self)
    }

    /// `natpmp_t`: a socket, the gateway's address, and the request under way. 48 bytes where a `long` has 8.
    package enum ClientLayout {
        package static let size = 48
        package static let socket = 0
        package static let gateway = 4
    }

    /// `natpmpresp_t`, whose second half depends on the type. Numbers are in this machine's order, the address in the network's.
    enum ResponseLayout {
        static let size = 16
        static let type = 0
        static let epoch = 4
        static let address = 8
        static let inside = 8
        static let outside = 10
        static let lifetime = 12
    }

    /// Has the library fill its record for a gateway that is named, and gives the record in more room than it needs: that it ends, and has its
    /// fields, where it is taken to can be told only so. Nothing is sent.
    package func record(gateway: UInt32) -> [UInt8]? {
        let room = NATPMPLibrary.ClientLayout.size * 4
        let client = NATPMPLibrary.clean(room, 0xa5)
        defer { client.deallocate() }
        guard open(client, 1, gateway) == 0 else { return nil }
        defer { _ = close(client) }
        return Array(UnsafeRawBufferPointer(start: client, count: room))
    }

    /// Room for a record, and more than it has today.
    static func clean(_ size: Int = NATPMPLibrary.ClientLayout.size * 4, _ value: UInt8 = 0) -> Client {
        let client = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
        client.initializeMemory(as: UInt8.self, repeating: value, count: size)
        return client
    }

    /// Nothing has come yet.
    static let tryAgain: Int32 = -100
    /// What is wrong on this side of the router: no socket, no gateway, no answer. Codes below are the router's own.
    static let local: ClosedRange<Int32> = -12 ... -1
}

/// A library that is loaded for port mapping.
struct MappingLibrary {
    private let method: MappingMethod
    private let handle: UnsafeMutableRawPointer
    /// Which of the names it was found by.
    let fileName: String

    /// - Parameter fileNames: the first that can be loaded is taken.
    init(_ method: MappingMethod, _ fileNames: [String]) throws(MappingError) {
        var words = "no reason given"
        for name in fileNames {
            if let handle = dlopen(name, RTLD_NOW | RTLD_LOCAL) {
                self.method = method
                self.handle = handle
                fileName = name
                return
            }
            if let reason = dlerror() { words = String(cString: reason) }
        }
        throw .libraryMissing(method, words)
    }

    func function<Function>(_ name: String, _ type: Function.Type) throws(MappingError) -> Function {
        guard let address = dlsym(handle, name) else { throw .functionMissing(method, name) }
        return unsafeBitCast(address, to: type)
    }
}
