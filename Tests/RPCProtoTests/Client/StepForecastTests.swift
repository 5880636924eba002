import RPCProto
import Tensor
import Testing

/// That a step is given as long as steps like it take, several times over, and no longer.
@Suite struct StepForecastTests {
    @Test("an unknown device gets a slow core's time; what is known of a size counts for it and for larger ones")
    func sizes() {
        var forecast = StepForecast()
        let (allowance, tolerance) = (StepForecast.allowance, StepForecast.tolerance)
        #expect(forecast.limit(work: 0) == allowance)
        #expect(forecast.limit(work: 1e9) == allowance + tolerance)
        forecast.note(work: 1e9, seconds: 0.1)
        #expect(abs(forecast.limit(work: 1e9) - allowance - tolerance * 0.1) < 1e-9)
        #expect(abs(forecast.limit(work: 8e9) - allowance - tolerance * 0.8) < 1e-9)
        // Small steps may take longer for their work: nothing is known of them.
        #expect(forecast.limit(work: 1e6) == allowance + tolerance * 1e-3)
    }

    @Test("the slowest of the latest counts, and is forgotten in time")
    func slowest() {
        var forecast = StepForecast()
        forecast.note(work: 1e9, seconds: 2)
        for _ in 0..<10 { forecast.note(work: 1e9, seconds: 0.1) }
        #expect(forecast.limit(work: 1e9) > StepForecast.allowance + StepForecast.tolerance * 1.5)
        for _ in 0..<500 { forecast.note(work: 1e9, seconds: 0.1) }
        #expect(forecast.limit(work: 1e9) < StepForecast.allowance + StepForecast.tolerance * 0.11)
    }

    @Test("a graph's work is the multiplications of its products")
    func work() throws {
        let g = GraphBuilder()
        let a = g.input("a", .f32, Shape(64, 10))
        let b = g.input("b", .f32, Shape(64, 3))
        let c = g.matMul(a, b)
        g.markOutput(g.add(c, c))
        #expect(try g.finish().work == Double(64 * 10 * 3))
    }
}
