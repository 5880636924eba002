import Node
import Testing

/// Who may still get in: no request is counted twice, and none is forgotten between being let in and being seen.
@Suite struct EngineCountersTests {
    @Test("places of requests that are on their way are not given away by a report from the engine's thread")
    func arrivingRequestsKeepTheirPlaces() {
        let counters = EngineCounters(slotCount: 1)
        counters.set(slotsBusy: 1, waiting: 0, arrived: 0)
        let isFirstIn = counters.reserve(limit: 2)
        let isSecondIn = counters.reserve(limit: 2)
        #expect(isFirstIn && isSecondIn)
        // The thread ends a step and knows of neither.
        counters.set(slotsBusy: 1, waiting: 0, arrived: 0)
        #expect(counters.current.queued == 2)
        let isThirdIn = counters.reserve(limit: 2)
        #expect(!isThirdIn)
        // It sees one of them, then gives it the slot of one that ended.
        counters.set(slotsBusy: 1, waiting: 1, arrived: 1)
        #expect(counters.current.queued == 2)
        counters.set(slotsBusy: 1, waiting: 0, arrived: 0)
        #expect(counters.current.queued == 1)
        let isFourthIn = counters.reserve(limit: 2)
        #expect(isFourthIn)
    }

    @Test("free slots take requests that nobody has to wait for, whatever the limit of the queue")
    func freeSlotsCount() {
        let counters = EngineCounters(slotCount: 3)
        let places = (0..<5).map { _ in counters.reserve(limit: 1) }
        #expect(places == [true, true, true, true, false])
    }

    @Test("a request that could not be sent gives its place back")
    func release() {
        let counters = EngineCounters(slotCount: 1)
        for _ in 0..<10 {
            let isIn = counters.reserve(limit: 1)
            #expect(isIn)
            counters.release()
        }
        #expect(counters.current.queued == 0)
    }
}
