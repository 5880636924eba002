import Foundation
import Node
import Testing

@Suite struct PlacementTableTests {
    private let devices = [
        Demands.local(2 << 30), Demands.worker(1, 4 << 30, roundTrip: .microseconds(210)),
        Demands.worker(2, 4 << 30, roundTrip: .milliseconds(2)), Demands.silent,
    ]

    private func lines(_ text: String) -> [String] { text.components(separatedBy: "\n") }

    @Test("The table says where everything is, what crosses the wire, and what was left out")
    func text() throws {
        let placement = try Placement(Demands.gemma, on: devices)
        let text = PlacementTable(placement, comparing: true).text
        let expected = """
            gemma-3-270m: 18 layers of 5.25 MiB, output head 170 MiB, context 4096, 4 slots

            device                   layers  head   weights  cache   compute    needed      free  full     trip
            10.0.0.1:50052 device 0     0–8     –  47.2 MiB    0 B  20.0 MiB  67.2 MiB  4.00 GiB    2%  0.21 ms
            10.0.0.2:50052 device 0    9–17     –  47.2 MiB    0 B  20.0 MiB  67.2 MiB  4.00 GiB    2%  2.00 ms
            local                         –   yes   170 MiB    0 B  60.0 MiB   230 MiB  2.00 GiB   11%        –

            - Bytes of weights and cache are in proportion to free memory, less a reserve (2 %, at least 16 MiB) and the compute \
            buffer, as nearly as whole layers allow.
            - local makes the logits, so that they cross no wire (1.00 MiB, 8.39 ms at 1 Gbit/s per token).
            - Per token 2 round trips (2.21 ms) and 4 hidden states of 2.50 KiB: 10240 bytes, 0.082 ms at 1 Gbit/s.
            - silent is left out: it does not say how much memory it has (a split can give it a share).
            - A stock head with the same workers, all layers on them: 10.0.0.1:50052 device 0 0–7; 10.0.0.2:50052 device 0 8–15; \
            silent 16–17 and the output head.

            """
        #expect(text == expected)
        #expect(lines(text).prefix(5).allSatisfy { $0.count < 110 })
    }

    @Test("Usual names fit whole, longer ones are cut, and the table's width is kept")
    func width() throws {
        let usual = "192.168.100.117:50052 device 0"
        let layers = Array(repeating: 140 << 20, count: 120)
        let wide = DeviceSupply(name: usual, freeByteCount: 90 << 30, totalByteCount: 90 << 30, roundTrip: .microseconds(310))
        let whole = PlacementTable(
            try Placement(
                Demands.model(layers, output: 1 << 30, cache: 128 << 20, compute: 80 << 20, outputCompute: 80 << 20), on: [wide, wide]))
        #expect(lines(whole.text)[3].hasPrefix(usual + " "))
        #expect(lines(whole.text).prefix(5).allSatisfy { $0.count < 110 })

        let name = "[2001:0db8:85a3:0000:0000:8a2e:0370:7334]:50052 device 0"
        let device = DeviceSupply(name: name, freeByteCount: 4 << 30, totalByteCount: 4 << 30, roundTrip: .milliseconds(2))
        let text = PlacementTable(try Placement(Demands.gemma, on: [device, device])).text
        #expect(lines(text).prefix(4).allSatisfy { $0.count < 110 })
        #expect(text.contains("device 0 "))
        #expect(text.contains("or 512 B where the sampler is content"))
        #expect(text.contains("8192 to 1056256 bytes"))
    }

    @Test("The report has the same figures")
    func report() throws {
        let report = PlacementReport(try Placement(Demands.gemma, on: devices, split: [2, 1, 0, 1]))
        #expect(report.basis == "split")
        #expect(report.stages.map(\.layerCount) == [12, 6, 0])
        #expect(report.stages.last?.hasOutput == true)
        #expect(report.leftOut.map(\.reason) == ["no_share"])
        #expect(report.wire.bytesPerToken == 4 * 2560)
        #expect(report.stock == nil)
        let keys = try JSONSerialization.jsonObject(with: JSONEncoder().encode(report)) as? [String: Any]
        #expect(keys?["layer_count"] as? Int == 18)
        #expect((keys?["wire"] as? [String: Any])?["bytes_per_token"] as? Int == 4 * 2560)
    }

    @Test("Stock's rule, as its code has it")
    func stock() {
        // Seen of stock 8.0.0 with Gemma 3 270M on two workers, by free memory and with `-ts 3,1`.
        #expect(StockPlacement.layers(freeByteCounts: [24105 << 20, 24105 << 20], layerCount: 18) == [0..<10, 10..<18])
        #expect(StockPlacement.layers(freeByteCounts: [3, 1], layerCount: 18) == [0..<15, 15..<18])
        // Worked out by hand: 19 units over equal devices end at 9.5, so that unit 9 is the first one's last.
        #expect(StockPlacement.layers(freeByteCounts: [8, 8], layerCount: 18) == [0..<10, 10..<18])
        #expect(StockPlacement.layers(freeByteCounts: [1, 1, 1], layerCount: 18) == [0..<7, 7..<13, 13..<18])
        // A part that ends exactly where a unit begins does not have that unit.
        #expect(StockPlacement.layers(freeByteCounts: [1, 1], layerCount: 3) == [0..<2, 2..<3])
        #expect(StockPlacement.layers(freeByteCounts: [3, 1], layerCount: 32) == [0..<25, 25..<32])
        #expect(StockPlacement.layers(freeByteCounts: [0, 5], layerCount: 4) == [0..<0, 0..<4])
        #expect(StockPlacement.layers(freeByteCounts: [0, 0], layerCount: 4) == [0..<0, 0..<0])
        #expect(StockPlacement.layers(freeByteCounts: [.max, .min, .max], layerCount: 1).count == 3)
    }
}
