import KernelTable
import TestSupport
import Testing

@Suite("Matrix products of every variant")
struct ProductTests {
    static let cases = VariantUnderTest.all.flatMap { variant in StoredType.all.map { ProductCase(variant, $0) } }
    static let lengths = [32, 64, 96, 256, 512, 640, 768, 2048]
    static let rowCounts = [1, 2, 3, 15, 16, 17, 31, 33, 100]
    static let columnCounts = [1, 2, 3, 4, 5, 6, 7, 8, 15, 16, 17, 33, 64]

    @Test("every variant multiplies every type", arguments: VariantUnderTest.all)
    func complete(_ variant: VariantUnderTest) {
        for type in StoredType.all {
            #expect(variant.table.products[type.number] != nil, "\(variant.name) lacks \(type.name)")
        }
    }

    @Test("results are as near the F64 product as quantized activations and F32 sums allow", arguments: cases)
    func accurate(_ product: ProductCase) throws {
        var random = SeededRandom(seed: 11)
        for k in product.type.lengths(ProductTests.lengths) {
            let rows = product.type.randomBytes(33 * k, &random)
            let columns = ProductCase.columns(7, k, &random)
            let found = ProductRun(try product.kernel(), product.type, k: k, rows: rows, columns: columns)()
            let reference = ReferenceProduct(product.type, k: k, rows: rows, columns: columns)
            for column in columns.indices {
                for row in 0..<33 {
                    let value = Double(found[column][row])
                    let rounding = reference.roundingBound[column][row] + 1e-30
                    let loose = reference.quantizationBound[column][row] + rounding
                    #expect(abs(value - reference.exact[column][row]) <= loose, "k \(k), column \(column), row \(row)")
                    #expect(abs(value - reference.quantized[column][row]) <= rounding, "k \(k), column \(column), row \(row)")
                }
            }
        }
    }

    @Test("the largest integers neither saturate nor overflow", arguments: cases)
    func extremes(_ product: ProductCase) throws {
        var random = SeededRandom(seed: 5)
        let k = 512
        for fill in [0x00, 0x7f, 0x80, 0xff] as [UInt8] {
            var rows = product.type.randomBytes(17 * k, &random)
            if product.type.blockElements > 1 {
                for i in rows.indices where !product.type.isScale(i % product.type.blockBytes) {
                    rows[i] = fill
                }
            }
            let columns = [[Float](repeating: 1, count: k), [Float](repeating: -1, count: k)]
            let found = ProductRun(try product.kernel(), product.type, k: k, rows: rows, columns: columns)()
            let reference = ReferenceProduct(product.type, k: k, rows: rows, columns: columns)
            for column in 0..<2 {
                for row in 0..<17 {
                    let off = abs(Double(found[column][row]) - reference.quantized[column][row])
                    #expect(off <= reference.roundingBound[column][row], "bytes of \(fill), column \(column), row \(row)")
                }
            }
        }
    }

    @Test("a result has the same bits whatever the numbers of rows and columns", arguments: cases)
    func sameAmongOthers(_ product: ProductCase) throws {
        var random = SeededRandom(seed: 13)
        let kernel = try product.kernel()
        for k in product.type.lengths(ProductTests.lengths) {
            let rows = product.type.randomBytes(100 * k, &random)
            let rowSize = product.type.byteCount(k)
            let columns = ProductCase.columns(64, k, &random)
            let all = ProductRun(kernel, product.type, k: k, rows: rows, columns: columns)()
            for m in ProductTests.rowCounts {
                for n in ProductTests.columnCounts {
                    // Not always the first columns: another place among its neighbours must not matter either.
                    let first = Int.random(in: 0...(64 - n), using: &random)
                    let part = Array(columns[first..<(first + n)])
                    let fewer = Array(rows[0..<(m * rowSize)])
                    let found = ProductRun(kernel, product.type, k: k, rows: fewer, columns: part)()
                    #expect(sameBits(found, Array(all[first..<(first + n)]), rows: m), "k \(k), \(m) rows, \(n) columns")
                }
            }
        }
    }

    @Test("a result has the same bits however the work is split and in whatever order", arguments: cases)
    func sameWhenSplit(_ product: ProductCase) throws {
        var random = SeededRandom(seed: 17)
        let kernel = try product.kernel()
        for k in product.type.lengths([96, 256, 768]) {
            let rows = product.type.randomBytes(100 * k, &random)
            for n in [1, 3, 4, 9, 16, 40] {
                let columns = ProductCase.columns(n, k, &random)
                let whole = ProductRun(kernel, product.type, k: k, rows: rows, columns: columns)()
                for (rowsPerPiece, columnsPerPiece, gap) in [(1, 1, 0), (16, 8, 6), (33, 5, 64), (40, 64, 2), (100, 1, 0)] {
                    var run = ProductRun(kernel, product.type, k: k, rows: rows, columns: columns, gap: gap)
                    run.rowsPerPiece = rowsPerPiece
                    run.columnsPerPiece = columnsPerPiece
                    run.reversed = true
                    let split = "pieces of \(rowsPerPiece) rows, \(columnsPerPiece) columns, rows \(gap) bytes apart"
                    #expect(sameBits(run(), whole, rows: 100), "k \(k), \(n) columns, \(split)")
                }
            }
        }
    }

    @Test("float rows of any length are multiplied whole", arguments: cases.filter { $0.type.blockElements == 1 })
    func oddLengths(_ product: ProductCase) throws {
        var random = SeededRandom(seed: 19)
        for k in Array(1...40) + [63, 65, 127, 129, 1001] {
            let rows = product.type.randomBytes(18 * k, &random)
            let columns = ProductCase.columns(5, k, &random)
            let found = ProductRun(try product.kernel(), product.type, k: k, rows: rows, columns: columns)()
            let reference = ReferenceProduct(product.type, k: k, rows: rows, columns: columns)
            for column in columns.indices {
                let near = (0..<18).allSatisfy {
                    abs(Double(found[column][$0]) - reference.exact[column][$0]) <= reference.roundingBound[column][$0] + 1e-30
                }
                #expect(near, "k \(k), column \(column)")
            }
        }
    }

    @Test("infinities, NaNs and huge or tiny activations trap nothing and stay in their column", arguments: cases)
    func hostileActivations(_ product: ProductCase) throws {
        var random = SeededRandom(seed: 23)
        let k = 512
        let rows = product.type.randomBytes(33 * k, &random)
        let clean = ProductCase.columns(9, k, &random)
        let expected = ProductRun(try product.kernel(), product.type, k: k, rows: rows, columns: clean)()
        let odd: [Float] = [.nan, .infinity, -.infinity, .greatestFiniteMagnitude, .leastNonzeroMagnitude, 1e-40]
        for value in odd {
            var columns = clean
            columns[1][3] = value
            columns[4] = [Float](repeating: value, count: k)
            columns[8][k - 1] = value
            let found = ProductRun(try product.kernel(), product.type, k: k, rows: rows, columns: columns)()
            for column in [0, 2, 3, 5, 6, 7] {
                #expect(sameBits([found[column]], [expected[column]], rows: 33), "\(value), column \(column)")
            }
            if value.isNaN {
                #expect(found[1].allSatisfy { !$0.isFinite } && found[8].allSatisfy { !$0.isFinite }, "a NaN is hidden")
            }
        }
    }

    @Test("columns of zeros give zeros", arguments: cases)
    func zeros(_ product: ProductCase) throws {
        var random = SeededRandom(seed: 29)
        let rows = product.type.randomBytes(20 * 256, &random)
        let columns = [[Float]](repeating: [Float](repeating: 0, count: 256), count: 5)
        let found = ProductRun(try product.kernel(), product.type, k: 256, rows: rows, columns: columns)()
        #expect(found.allSatisfy { $0.allSatisfy { $0 == 0 } })
    }
}

/// One type in one variant.
struct ProductCase: Sendable, CustomTestStringConvertible {
    var variant: VariantUnderTest
    var type: StoredType

    init(_ variant: VariantUnderTest, _ type: StoredType) {
        self.variant = variant
        self.type = type
    }

    var testDescription: String { "\(variant.name) \(type.name)" }

    func kernel() throws -> ProductKernel {
        try #require(variant.table.products[type.number], "\(variant.name) lacks \(type.name)")
    }

    /// Activations like a model's, with an outlier now and then.
    static func columns(_ n: Int, _ k: Int, _ random: inout SeededRandom) -> [[Float]] {
        (0..<n).map { _ in
            let size = Float.random(in: 0.1...3, using: &random)
            return (0..<k).map { _ in
                let value = Float.random(in: -size...size, using: &random)
                return Int.random(in: 0..<97, using: &random) == 0 ? 20 * value : value
            }
        }
    }
}

extension StoredType {
    /// Those of the lengths that are whole numbers of blocks.
    func lengths(_ list: [Int]) -> [Int] { list.filter { $0 % blockElements == 0 } }
}
