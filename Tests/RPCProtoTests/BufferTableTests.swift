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

    private func expectNoRoom(_ table: inout BufferTable, _ byteCount: UInt64, _ backend: any Backend) {
        let handle = table.add(Claim(byteCount, backend), device: 0)
        #expect(handle == nil)
    }

    @Test(arguments: [0, 1, 2, 3] as [UInt64]) func theSpaceEnds(gaps: UInt64) throws {
        let backend = try #require(Conversation.backend)
        let gap = BufferTable.gap
        var table = BufferTable(nextBase: BufferTable.end - gaps * gap)
        for size in [UInt64.max, 1 << 63, BufferTable.end, gaps * gap + 1, gaps * gap] where size > 0 { #expect(!table.hasRoom(for: size)) }
        guard gaps > 0 else {
            #expect(!table.hasRoom(for: 0))
            expectNoRoom(&table, 0, backend)
            return
        }
        // All that is left, after which there is nothing, also not for nothing.
        let most = (gaps - 1) * gap
        #expect(table.hasRoom(for: most))
        #expect(!table.hasRoom(for: most + 1))
        let added = table.add(Claim(most, backend), device: 0)
        let handle = try #require(added)
        #expect(table[handle]?.base == BufferTable.end - gaps * gap)
        for size in [0, 1, most, UInt64.max] { #expect(!table.hasRoom(for: size)) }
        expectNoRoom(&table, 0, backend)
        // Addresses are not used again.
        _ = table.remove(handle)
        #expect(!table.hasRoom(for: 0))
    }

    /// A backend may give more than it was asked for.
    @Test func aBufferLargerThanTheRoomGetsNoAddress() throws {
        let backend = try #require(Conversation.backend)
        var table = BufferTable(nextBase: BufferTable.end - 2 * BufferTable.gap)
        #expect(table.hasRoom(for: 1))
        expectNoRoom(&table, BufferTable.gap + 1, backend)
        let handle = table.add(Claim(1, backend), device: 0)
        #expect(handle != nil)
        #expect(!table.hasRoom(for: 0))
    }
}
