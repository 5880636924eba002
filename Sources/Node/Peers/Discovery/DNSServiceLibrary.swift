#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// The functions of `dns_sd.h` that are used here, of the library that this machine has: Avahi's stand-in for it on Linux (libdns_sd.so.1),
/// the system's own on macOS. It is looked for when it is needed, so that a program runs also where it is not installed.
///
/// The types below are those of the C interface, with flags, interfaces and errors as plain numbers.
package struct DNSServiceLibrary: Sendable {
    /// An operation with the daemon (`DNSServiceRef`).
    typealias Reference = OpaquePointer
    typealias Text = UnsafePointer<CChar>?
    typealias Context = UnsafeMutableRawPointer?

    typealias RegisterReply = @convention(c) (Reference?, UInt32, Int32, Text, Text, Text, Context) -> Void
    typealias BrowseReply = @convention(c) (Reference?, UInt32, UInt32, Int32, Text, Text, Text, Context) -> Void
    typealias ResolveReply =
        @convention(c) (
            Reference?, UInt32, UInt32, Int32, Text, Text, UInt16, UInt16, UnsafePointer<UInt8>?, Context
        ) -> Void
    typealias QueryReply =
        @convention(c) (
            Reference?, UInt32, UInt32, Int32, Text, UInt16, UInt16, UInt16, UnsafeRawPointer?, UInt32, Context
        ) -> Void

    typealias Register =
        @convention(c) @Sendable (
            UnsafeMutablePointer<Reference?>, UInt32, UInt32, Text, Text, Text, Text, UInt16, UInt16, UnsafeRawPointer?, RegisterReply?,
            Context
        ) -> Int32
    typealias Browse =
        @convention(c) @Sendable (UnsafeMutablePointer<Reference?>, UInt32, UInt32, Text, Text, BrowseReply?, Context) -> Int32
    typealias Resolve =
        @convention(c) @Sendable (UnsafeMutablePointer<Reference?>, UInt32, UInt32, Text, Text, Text, ResolveReply?, Context) -> Int32
    typealias QueryRecord =
        @convention(c) @Sendable (UnsafeMutablePointer<Reference?>, UInt32, UInt32, Text, UInt16, UInt16, QueryReply?, Context) -> Int32
    typealias UpdateRecord = @convention(c) @Sendable (Reference?, OpaquePointer?, UInt32, UInt16, UnsafeRawPointer?, UInt32) -> Int32
    typealias OfReference = @convention(c) @Sendable (Reference?) -> Int32
    typealias Deallocate = @convention(c) @Sendable (Reference?) -> Void

    let register: Register
    let browse: Browse
    let resolve: Resolve
    let queryRecord: QueryRecord
    let updateRecord: UpdateRecord
    let descriptor: OfReference
    let processResult: OfReference
    let deallocate: Deallocate

    /// The library's file, as the loader is asked for it.
    package static var fileName: String {
        #if canImport(Darwin)
            "/usr/lib/libSystem.B.dylib"
        #else
            "libdns_sd.so.1"
        #endif
    }

    /// Has Avahi's library print no page of advice. For the beginning of a program: while other threads look at the environment, nobody
    /// may change it.
    package static func silence() { setenv("AVAHI_COMPAT_NOWARN", "1", 0) }

    /// Loads the library; it stays loaded.
    ///
    /// - Parameter fileName: another library than this machine's.
    /// - Throws: ``DiscoveryError/libraryMissing(_:)`` or ``DiscoveryError/functionMissing(_:)``.
    package init(fileName: String = DNSServiceLibrary.fileName) throws(DiscoveryError) {
        guard let handle = dlopen(fileName, RTLD_NOW | RTLD_LOCAL) else {
            throw .libraryMissing(dlerror().map { String(cString: $0) } ?? "no reason given")
        }
        if let address = dlsym(handle, "avahi_set_allocator") {
            unsafeBitCast(address, to: CleanMemory.SetAllocator.self)(CleanMemory.functions)
        }
        func function<Function>(_ name: String, _ type: Function.Type) throws(DiscoveryError) -> Function {
            guard let address = dlsym(handle, name) else { throw .functionMissing(name) }
            return unsafeBitCast(address, to: type)
        }
        register = try function("DNSServiceRegister", Register.self)
        browse = try function("DNSServiceBrowse", Browse.self)
        resolve = try function("DNSServiceResolve", Resolve.self)
        queryRecord = try function("DNSServiceQueryRecord", QueryRecord.self)
        updateRecord = try function("DNSServiceUpdateRecord", UpdateRecord.self)
        descriptor = try function("DNSServiceRefSockFD", OfReference.self)
        processResult = try function("DNSServiceProcessResult", OfReference.self)
        deallocate = try function("DNSServiceRefDeallocate", Deallocate.self)
    }
}

/// Memory for Avahi's library, with nothing in it.
///
/// It leaves the callbacks that an operation does not have as it finds them, and calls those of a lookup when the daemon goes: whatever
/// was in that memory before. (Avahi 0.8, `generic_client_callback`.)
private enum CleanMemory {
    typealias Pointer = UnsafeMutableRawPointer?
    /// `malloc`, `free`, `realloc` and `calloc`, as `AvahiAllocator` has them.
    private struct Functions {
        var allocate: @convention(c) @Sendable (Int) -> Pointer = { CleanMemory.allocate($0) }
        var release: @convention(c) @Sendable (Pointer) -> Void = { free($0) }
        var resize: @convention(c) @Sendable (Pointer, Int) -> Pointer = { realloc($0, $1) }
        var allocateMany: @convention(c) @Sendable (Int, Int) -> Pointer = { calloc($0, $1) }
    }
    typealias SetAllocator = @convention(c) (UnsafeRawPointer) -> Void

    /// The library keeps the address.
    nonisolated(unsafe) static let functions: UnsafeRawPointer = {
        // Never changed, never freed: hence safe to share.
        let functions = UnsafeMutablePointer<Functions>.allocate(capacity: 1)
        functions.initialize(to: Functions())
        return UnsafeRawPointer(functions)
    }()

    nonisolated private static func allocate(_ byteCount: Int) -> Pointer { calloc(1, byteCount) }
}
