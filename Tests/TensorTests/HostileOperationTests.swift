import RPCProto
import Tensor
import Testing

/// Operations as a hostile peer describes them, over sources that fit.
@Suite struct HostileOperationTests {
    /// Any 64 bytes of parameters decode or are refused; what decodes is answered by inference without a trap.
    @Test(arguments: 0..<10) func hostileSlots(seed: UInt64) {
        var random = SplitMix64(seed)
        let interesting: [Int32] = [0, 1, 2, 3, -1, .min, .max, 16, 0x7f80_0000, 0x7fc0_0000]
        let table = OperationTable.newest
        var decoded = 0
        for row in InferenceCases.all {
            guard let number = try? table.number(of: row.operation), let valid = try? table.parameters(of: row.operation)
            else { continue }
            for _ in 0..<50 {
                var slots = valid
                for slot in 0..<16 where Int.random(in: 0..<4, using: &random) == 0 {
                    slots[slot] = interesting.randomElement(using: &random) ?? 0
                }
                let shape = row.expected?.shape ?? Shape(1)
                guard let operation = try? table.operation(number: number, parameters: slots, shape: shape) else { continue }
                decoded += 1
                guard let result = try? operation.inferred(from: row.sources, declared: row.declared) else { continue }
                #expect(Tensor(name: "", type: result.type, shape: result.shape).checkedByteExtent != nil)
            }
        }
        #expect(decoded > 1000)
    }
}
