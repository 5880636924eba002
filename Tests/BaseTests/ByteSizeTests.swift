import Base
import Testing

@Suite struct ByteSizeTests {
    @Test(
        arguments: [
            ("4096", 4096), ("512M", 512 << 20), ("6G", 6 << 30), ("1.5g", 3 << 29), ("2GiB", 2 << 30), ("10kb", 10 << 10), ("7B", 7),
            ("-1", nil), ("", nil), ("M", nil), ("1e400", nil), ("nan", nil), ("12Q", nil), ("0x10G", nil), ("1e3M", nil), ("999999999T", nil),
        ] as [(String, Int?)])
    func read(text: String, count: Int?) {
        #expect(ByteSize(text)?.count == count)
    }

    /// Other programs' sizes are megabytes: `-m 8192` lent 8192 bytes.
    @Test(
        arguments: [
            ("8192", "8192 bytes: did you mean 8192M?"), ("32", "32 bytes: did you mean 32M?"),
            ("8K", "8K is too little; at least 1M is needed."),
            ("0", "0 is too little; at least 1M is needed."), ("1048576", nil), ("1M", nil), ("8G", nil),
        ] as [(String, String?)])
    func tooLittle(text: String, complaint: String?) throws {
        #expect(try #require(ByteSize(text)).complaint(below: 1 << 20) == complaint)
    }
}
