import Base
import Foundation
import Logging
import Testing

/// Readers that leave: of a log, whose lines are lost, and of what a program writes.
@Suite struct BrokenPipeTests {
    /// Puts a pipe that nobody reads in the place of standard error.
    private static func breakStandardError() {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { exit(3) }
        close(ends[0])
        dup2(ends[1], 2)
        close(ends[1])
    }

    /// A worker whose log's reader had gone was ended by SIGPIPE at its next line, or by a failure to write it.
    @Test func aLogThatNobodyReadsEndsNothing() async {
        await #expect(processExitsWith: .exitCode(7)) {
            BrokenPipes.ignore()
            BrokenPipeTests.breakStandardError()
            for format in [LogFormat.text, .json] {
                let logger = format.logger(level: "info")
                for _ in 0..<3 { logger.warning("nobody reads this") }
            }
            StandardError.write("nor this\n")
            exit(7)
        }
    }

    /// `swiftlet run | head` ends as every other program does there: a shell says 141, and nothing is written.
    @Test func aProgramWhoseReaderLeftEndsBySignal() async {
        let result = await #expect(processExitsWith: .signal(SIGPIPE), observing: [\.standardErrorContent]) {
            BrokenPipes.ignore()
            BrokenPipes.end()
        }
        let told = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(!told.contains("rror"), "\(told)")
    }
}
