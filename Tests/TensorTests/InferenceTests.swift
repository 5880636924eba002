import Tensor
import Testing

@Suite struct InferenceTests {
    /// Shapes and types of results, and what is refused, for each operation.
    @Test(arguments: InferenceCases.all.indices) func table(index: Int) {
        let row = InferenceCases.all[index]
        do throws(GraphError) {
            let result = try row.operation.inferred(from: row.sources, declared: row.declared, name: "x")
            #expect(row.expected == .init(result.type, result.shape), "\(row)")
        } catch {
            #expect(row.expected == nil, "\(error)")
            #expect(error.tensor == "x")
            #expect(error.message.hasPrefix(row.operation.kind.rawValue))
        }
    }

    /// No operation is forgotten by the table above.
    @Test func everyOperationHasACase() {
        let defined = Set(InferenceCases.all.filter { $0.expected != nil }.map(\.operation.kind))
        #expect(Set(OperationKind.allCases).subtracting(defined) == [.none])
        #expect(OperationKind.allCases.count == 101)
    }

    /// Whatever the sources are, the answer is a result with a size or an error: kernels rely on it, and nothing traps.
    @Test(arguments: 0..<20) func hostileSources(seed: UInt64) {
        var random = SplitMix64(seed)
        let extents = [0, 1, 1, 2, 3, 4, 32, 256, 1 << 31, 1 << 40, 1 << 61, .max, .max / 2]
        func hostile() -> Tensor {
            let type = ElementType.allCases.randomElement(using: &random) ?? .f32
            var subject = tensor(Bool.random(using: &random) ? .f32 : type, 1)
            for dimension in 0..<Shape.rank where Bool.random(using: &random) {
                subject.shape[dimension] = extents.randomElement(using: &random) ?? 1
            }
            subject.strides = Strides(contiguous: subject.shape, subject.type)
            return subject
        }
        var answered = 0
        for row in InferenceCases.all {
            for _ in 0..<20 {
                var sources = row.sources
                for index in sources.indices where Int.random(in: 0..<3, using: &random) == 0 { sources[index] = hostile() }
                let wish = hostile()
                let declared = Bool.random(using: &random) ? .init(wish.type, wish.shape) : row.declared
                guard let result = try? row.operation.inferred(from: sources, declared: declared) else { continue }
                answered += 1
                #expect(Tensor(name: "", type: result.type, shape: result.shape).checkedByteExtent != nil)
            }
        }
        #expect(answered > 100)
    }

    /// In place means: the result is the source's memory.
    @Test func inPlace() throws {
        let set = try Operation.set(InferenceCases.partInPlace).inferred(from: [f32(4, 3), f32(3, 2)])
        #expect(set.viewOfSource == 0)
        let rows = try Operation.setRows.inferred(from: [f32(64, 5), i32(5), f16(64, 9)])
        #expect(rows.viewOfSource == 2)
        let copy = try Operation.cpy.inferred(from: [f32(4, 2), f32(2, 4).swapped(0, 1)])
        #expect(copy.viewOfSource == 1)
        #expect(copy.strides == f32(2, 4).swapped(0, 1).strides)
        #expect(try Operation.add.inferred(from: [f32(4), f32(4)]).viewOfSource == nil)
    }

    /// A depthwise convolution over an image with its channels innermost gives one of the same order.
    @Test func channelsInnermost() throws {
        let image = f32(4, 9, 8, 2).swapped(0, 1).swapped(1, 2)
        #expect(image.shape == Shape(9, 8, 4, 2))
        let result = try Operation.conv2DDepthwise(Window2D()).inferred(from: [f16(3, 3, 1, 4), image])
        #expect(result.shape == Shape(7, 6, 4, 2))
        #expect(result.strides == Strides(16, 112, 4, 672))
    }
}
