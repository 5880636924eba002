import Kernels
import RPCProto
import Tensor
import Testing

/// Addresses are handed out until there are none: whoever allocates and frees for long enough gets there, and must not take
/// the process along.
struct BufferTableTests {
    /// A buffer that only says how large it is.
    private final class Claim: Buffer {
        let byteCount: Int
        let backend: any Backend

        init(_ byteCount: UInt64, _ backend: any Backend) {
            self.byteCount = Int(byteCount)
            self.backend = backend
        }
    }

    @Test(arguments: [0, 1, 2, 3] as [UInt64]) func theSpaceEnds(gaps: UInt64) throws {
        let backend = try #require(Conversation.backend)
        let gap = BufferTable.gap
        var table = BufferTable(nextBase: BufferTable.end - gaps * gap)
        for size in [UInt64.max, 1 << 63, BufferTable.end, gaps * gap + 1, gaps * gap] where size > 0 { #expect(!table.hasRoom(for: size)) }
        guard gaps > 0 else {
            #expect(!table.hasRoom(for: 0))
            #expect(table.add(Claim(0, backend), device: 0) == nil)
            return
        }
        // All that is left, after which there is nothing, also not for nothing.
        let most = (gaps - 1) * gap
        #expect(table.hasRoom(for: most))
        #expect(!table.hasRoom(for: most + 1))
        let handle = try #require(table.add(Claim(most, backend), device: 0))
        #expect(table[handle]?.base == BufferTable.end - gaps * gap)
        for size in [0, 1, most, UInt64.max] { #expect(!table.hasRoom(for: size)) }
        #expect(table.add(Claim(0, backend), device: 0) == nil)
        // Addresses are not used again.
        _ = table.remove(handle)
        #expect(!table.hasRoom(for: 0))
    }

    /// A backend may give more than it was asked for.
    @Test func aBufferLargerThanTheRoomGetsNoAddress() throws {
        let backend = try #require(Conversation.backend)
        var table = BufferTable(nextBase: BufferTable.end - 2 * BufferTable.gap)
        #expect(table.hasRoom(for: 1))
        #expect(table.add(Claim(BufferTable.gap + 1, backend), device: 0) == nil)
        #expect(table.add(Claim(1, backend), device: 0) != nil)
        #expect(!table.hasRoom(for: 0))
    }
}
