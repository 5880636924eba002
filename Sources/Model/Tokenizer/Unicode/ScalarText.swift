/// A text as Unicode scalars, each with its class: what patterns that split it into words look at.
package struct ScalarText {
    package private(set) var scalars: [UInt32] = []
    private(set) var classes: [ScalarClass] = []

    var count: Int { scalars.count }

    /// Bytes that belong to no sequence of UTF-8 become U+FFFD, one each; sequences that are longer than they need be are none.
    /// Those of surrogates are read as what they say, as other readers of these vocabularies do.
    ///
    /// Complexity: O(n).
    package init(_ bytes: some RandomAccessCollection<UInt8>) {
        scalars.reserveCapacity(bytes.count)
        classes.reserveCapacity(bytes.count)
        var index = bytes.startIndex
        while index < bytes.endIndex {
            let lead = bytes[index]
            var scalar = UInt32(lead)
            var length = 1
            if lead >= 0x80 {
                let announced = lead >= 0xF8 || lead < 0xC0 ? 0 : lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2
                let rest = bytes[bytes.index(after: index)...].prefix(max(0, announced - 1))
                scalar = UInt32(announced == 4 ? lead & 0x07 : announced == 3 ? lead & 0x0F : lead & 0x1F)
                for byte in rest { scalar = scalar << 6 | UInt32(byte & 0x3F) }
                let isWhole = announced > 0 && rest.count == announced - 1 && rest.allSatisfy { $0 & 0xC0 == 0x80 }
                let least: UInt32 = announced == 4 ? 0x10000 : announced == 3 ? 0x800 : 0x80
                if isWhole, scalar >= least, scalar < 0x110000 { length = announced } else { scalar = 0xFFFD }
            }
            scalars.append(scalar)
            classes.append(.of(scalar))
            index = bytes.index(index, offsetBy: length)
        }
    }

    /// Calls `body` with each byte of a scalar's UTF-8.
    static func forEachByte(of scalar: UInt32, _ body: (UInt8) -> Void) {
        func rest(_ shift: UInt32) -> UInt8 { 0x80 | UInt8(truncatingIfNeeded: scalar >> shift & 0x3F) }
        switch scalar {
        case ..<0x80:
            body(UInt8(scalar))
        case ..<0x800:
            body(0xC0 | UInt8(scalar >> 6))
            body(rest(0))
        case ..<0x10000:
            body(0xE0 | UInt8(scalar >> 12))
            body(rest(6))
            body(rest(0))
        default:
            body(0xF0 | UInt8(truncatingIfNeeded: scalar >> 18 & 0x07))
            body(rest(12))
            body(rest(6))
            body(rest(0))
        }
    }
}
