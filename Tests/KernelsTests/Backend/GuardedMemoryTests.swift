import Kernels
import Tensor
import Testing

/// What the fuzzing commands rely on to see that a kernel wrote outside of a buffer.
struct GuardedMemoryTests {
    @Test(arguments: [0, 1, 63, 64, 4032, 4033, 100_000])
    func writesAroundABufferShow(_ size: Int) throws {
        let backend = try CPUBackend(threads: 1)
        let buffer = try backend.allocateGuarded(byteCount: size)
        let bytes = try #require(buffer.hostBytes)
        let start = try #require(bytes.baseAddress)
        #expect(UInt(bitPattern: start) % UInt(backend.alignment) == 0)
        #expect(bytes.allSatisfy { $0 == 0 })
        bytes.initializeMemory(as: UInt8.self, repeating: 7)
        #expect(buffer.isPaddingUntouched)
        (start + size).storeBytes(of: 7, as: UInt8.self)
        #expect(!buffer.isPaddingUntouched)
    }
}
