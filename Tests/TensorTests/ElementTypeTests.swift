import Tensor
import Testing

@Suite struct ElementTypeTests {
    /// Number, elements and bytes of a block as the Python package `gguf` 0.19.0 has them, except for Q8_1 (there 40
    /// bytes; in `ggml-common.h` two half floats and 32 bytes) and Q2_0 (which it lacks).
    static let table: [(name: String, number: UInt32, elements: Int, bytes: Int)] = [
        ("f32", 0, 1, 4), ("f16", 1, 1, 2), ("q4_0", 2, 32, 18), ("q4_1", 3, 32, 20), ("q5_0", 6, 32, 22),
        ("q5_1", 7, 32, 24), ("q8_0", 8, 32, 34), ("q8_1", 9, 32, 36), ("q2_K", 10, 256, 84), ("q3_K", 11, 256, 110),
        ("q4_K", 12, 256, 144), ("q5_K", 13, 256, 176), ("q6_K", 14, 256, 210), ("q8_K", 15, 256, 292),
        ("iq2_xxs", 16, 256, 66), ("iq2_xs", 17, 256, 74), ("iq3_xxs", 18, 256, 98), ("iq1_s", 19, 256, 50),
        ("iq4_nl", 20, 32, 18), ("iq3_s", 21, 256, 110), ("iq2_s", 22, 256, 82), ("iq4_xs", 23, 256, 136), ("i8", 24, 1, 1),
        ("i16", 25, 1, 2), ("i32", 26, 1, 4), ("i64", 27, 1, 8), ("f64", 28, 1, 8), ("iq1_m", 29, 256, 56),
        ("bf16", 30, 1, 2), ("tq1_0", 34, 256, 54), ("tq2_0", 35, 256, 66), ("mxfp4", 39, 32, 17), ("nvfp4", 40, 64, 36),
        ("q1_0", 41, 128, 18), ("q2_0", 42, 64, 18),
    ]

    /// A wrong number or size would misread every file and message that names the type.
    @Test func numbersAndSizes() {
        #expect(Self.table.count == ElementType.allCases.count)
        for row in Self.table {
            let type = ElementType(rawValue: row.number)
            #expect(type?.name == row.name)
            #expect(type?.elementsPerBlock == row.elements)
            #expect(type?.bytesPerBlock == row.bytes)
            #expect(type?.isQuantized == (row.elements > 1))
        }
    }

    /// Withdrawn numbers are told from numbers that never were.
    @Test func withdrawn() {
        for number in [4, 5, 31, 32, 33, 36, 37, 38] as [UInt32] {
            #expect(ElementType(rawValue: number) == nil)
            #expect(ElementType.isWithdrawn(number))
        }
        for number in [43, 44, 1000, .max] as [UInt32] {
            #expect(ElementType(rawValue: number) == nil)
            #expect(!ElementType.isWithdrawn(number))
        }
        #expect(!ElementType.allCases.contains { ElementType.isWithdrawn($0.rawValue) })
    }

    /// Sizes of rows: whole blocks only, and no overflow.
    @Test(arguments: ElementType.allCases) func byteCounts(type: ElementType) {
        #expect(type.byteCount(elements: 0) == 0)
        #expect(type.byteCount(elements: 3 * type.elementsPerBlock) == 3 * type.bytesPerBlock)
        #expect(type.byteCount(elements: -type.elementsPerBlock) == nil)
        if type.elementsPerBlock > 1 {
            #expect(type.byteCount(elements: 1) == nil)
            #expect(type.byteCount(elements: type.elementsPerBlock + 1) == nil)
        }
        let most = Int.max / type.elementsPerBlock * type.elementsPerBlock
        let fits = !(most / type.elementsPerBlock).multipliedReportingOverflow(by: type.bytesPerBlock).overflow
        #expect((type.byteCount(elements: most) != nil) == fits)
        #expect(type.bytesPerBlock % type.alignment == 0)
        #expect(type.alignment.nonzeroBitCount == 1)
    }
}
