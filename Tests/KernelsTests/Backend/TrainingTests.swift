import Foundation
import Kernels
import Tensor
import TestSupport
import Testing

/// Gradients, losses and optimisers against their definitions in F64.
@Suite struct TrainingTests {
    private func rows(_ x: Dense) -> [[Double]] {
        (0..<x.shape.rowCount).map { row in
            (0..<x.shape[0]).map { Double(x.values[row * x.shape[0] + $0]) }
        }
    }

    private func softMax(_ row: [Double]) -> [Double] {
        let top = row.max() ?? 0
        let powers = row.map { exp($0 - top) }
        let sum = powers.reduce(0, +)
        return powers.map { $0 / sum }
    }

    @Test(arguments: BackendUnderTest.all)
    func goesBackThroughNormAndSoftMax(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 71)
        for shape in [Shape(1), Shape(64, 5, 4, 3), Shape(1025, 7)] {
            let gradient = Dense.random(shape, &random)
            let x = Dense.random(shape, &random)
            let norm = GraphUnderTest()
            let back = norm.builder.node("", .rmsNormBack(epsilon: 0.1), [norm.floats(gradient), norm.floats(x)])
            let expected = zip(rows(gradient), rows(x)).flatMap { dz, x -> [Float] in
                let mean = x.reduce(0) { $0 + $1 * $1 } / Double(x.count) + 0.1
                let product = zip(dz, x).reduce(0) { $0 + $1.0 * $1.1 } / Double(x.count)
                return zip(dz, x).map { Float(($0 - $1 * product / mean) / sqrt(mean)) }
            }
            #expect(largestError(try norm.values(of: back, on: given.backend), expected) < 1e-5)

            let y = Dense(shape, rows(x).flatMap { softMax($0).map { Float($0) } })
            let soft = GraphUnderTest()
            let operation = GraphOperation.softMaxBack(scale: 0.25, maxBias: 0)
            let other = soft.builder.node("", operation, [soft.floats(gradient), soft.floats(y)])
            let wanted = zip(rows(gradient), rows(y)).flatMap { dy, y -> [Float] in
                let product = zip(dy, y).reduce(0) { $0 + $1.0 * $1.1 }
                return zip(dy, y).map { Float(0.25 * ($0 - product) * $1) }
            }
            #expect(largestError(try soft.values(of: other, on: given.backend), wanted) < 1e-5)
        }
    }

    @Test(arguments: BackendUnderTest.all)
    func normsGroupsOfChannels(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 72)
        for (channels, groups) in [(12, 4), (10, 4), (3, 8), (7, 1)] {
            let x = Dense.random(Shape(9, 5, channels, 2), &random, -1...3)
            let test = GraphUnderTest()
            let result = test.builder.node("", .groupNorm(groups: groups, epsilon: 1e-3), [test.floats(x)])
            let per = (channels + groups - 1) / groups
            let expected = Dense(x.shape) { i0, i1, i2, i3 in
                let first = i2 / per * per
                var values: [Double] = []
                for channel in first..<min(first + per, channels) {
                    for row in 0..<5 { values += x.row(row, channel, i3).map(Double.init) }
                }
                let mean = values.reduce(0, +) / Double(values.count)
                let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)
                return Float((Double(x[i0, i1, i2, i3]) - mean) / sqrt(variance + 1e-3))
            }
            #expect(largestError(try test.values(of: result, on: given.backend), expected.values) < 1e-5)
        }
    }

    @Test(arguments: BackendUnderTest.all)
    func measuresCrossEntropyAndGoesBack(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 73)
        for shape in [Shape(10, 5, 4, 3), Shape(3000, 2)] {
            let logits = Dense.random(shape, &random, -8...8)
            let labels = Dense.random(shape, &random, 0...1)
            let test = GraphUnderTest()
            let loss = test.builder.node("", .crossEntropyLoss, [test.floats(logits), test.floats(labels)])
            let count = Double(shape.rowCount)
            let expected =
                -zip(rows(logits), rows(labels)).reduce(0.0) { sum, pair in
                    sum + zip(softMax(pair.0), pair.1).reduce(0) { $0 + Foundation.log($1.0) * $1.1 }
                } / count
            #expect(largestError(try test.values(of: loss, on: given.backend), [Float(expected)]) < 1e-5)

            let back = GraphUnderTest()
            let sources = [back.floats(Dense(Shape(1), [0.7])), back.floats(logits), back.floats(labels)]
            let result = back.builder.node("", .crossEntropyLossBack, sources)
            let wanted = zip(rows(logits), rows(labels)).flatMap { logits, labels in
                zip(softMax(logits), labels).map { Float(($0 - $1) * 0.7 / count) }
            }
            #expect(largestError(try back.values(of: result, on: given.backend), wanted) < 1e-5)
        }
    }

    @Test(arguments: BackendUnderTest.all)
    func stepsWeightsAndMoments(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 74)
        let shape = Shape(10, 5, 4)
        let (w, g) = (Dense.random(shape, &random), Dense.random(shape, &random))
        let (m, v) = (Dense.random(shape, &random), Dense.random(shape, &random, 0...1))
        let p: [Float] = [0.1, 0.9, 0.99, 1e-3, 0.05, 1.2, 1.3]
        var expected: [[Float]] = [[], [], []]
        for i in w.values.indices {
            let first = m.values[i] * p[1] + g.values[i] * (1 - p[1])
            let second = v.values[i] * p[2] + g.values[i] * g.values[i] * (1 - p[2])
            expected[0].append(
                w.values[i] * (1 - p[0] * p[4]) - p[0] * first * p[5] / ((second * p[6]).squareRoot() + p[3]))
            expected[1].append(first)
            expected[2].append(second)
        }
        for part in 0..<3 {
            let test = GraphUnderTest()
            let sources = [test.floats(w), test.floats(g), test.floats(m), test.floats(v), test.floats(Dense(Shape(7), p))]
            let step = test.builder.node("", .optStepAdamW, sources)
            if part > 0 { test.builder.markOutput(step) }
            let output = [step, sources[2], sources[3]][part]
            #expect(largestError(try test.values(of: output, on: given.backend), expected[part]) < 1e-5)
        }
        let test = GraphUnderTest()
        let sources = [test.floats(w), test.floats(g), test.floats(Dense(Shape(2), [0.1, 0.05]))]
        let step = test.builder.node("", .optStepSGD, sources)
        let wanted = zip(w.values, g.values).map { $0 * (1 - 0.1 * 0.05) - 0.1 * $1 }
        #expect(largestError(try test.values(of: step, on: given.backend), wanted) < 1e-5)
    }

    /// Moments are written as weights are, so they too must be where writing is allowed.
    @Test func refusesMomentsThatCannotBeWritten() throws {
        final class Owner: Sendable {}
        let backend = try CPUBackend(threads: 1)
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 256, alignment: 64)
        defer { bytes.deallocate() }
        bytes.initializeMemory(as: UInt8.self, repeating: 0)
        let fixed = try backend.load(
            TensorUpload(
                name: "fixed", type: .f32, shape: Shape(64), content: MemoryRegion(bytes: UnsafeRawBufferPointer(bytes), owner: Owner())))
        let free = try backend.allocate(byteCount: 4096)
        for bad in 0..<4 {
            let builder = GraphBuilder()
            var sources: [TensorID?] = (0..<4).map {
                builder.placed("\($0)", .f32, Shape(8), in: $0 == bad ? fixed : free, at: $0 == bad ? 0 : $0 * 64)
            }
            sources.append(builder.placed("parameters", .f32, Shape(7), in: free, at: 512))
            _ = builder.node("", .optStepAdamW, sources)
            let graph = try builder.finish()
            // Gradients are only read.
            if bad == 1 {
                _ = try backend.prepare(graph)
            } else {
                #expect(throws: BackendError.self) { _ = try backend.prepare(graph) }
            }
        }
    }
}
