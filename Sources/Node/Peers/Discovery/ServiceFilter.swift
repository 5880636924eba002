/// Which of all services that are announced are those looked for. Anybody can announce any number of others, so the cheap question comes
/// first.
package struct ServiceFilter: Sendable {
    /// Whether one of this name may be; of others nothing further is asked.
    package var takesName: @Sendable (_ name: String) -> Bool
    /// Whether one that has been resolved is.
    package var takes: @Sendable (_ name: String, _ text: [String: String], _ port: Int) -> Bool

    package init(
        takesName: @escaping @Sendable (_ name: String) -> Bool,
        takes: @escaping @Sendable (_ name: String, _ text: [String: String], _ port: Int) -> Bool
    ) {
        self.takesName = takesName
        self.takes = takes
    }

    /// By words that anybody can write.
    ///
    /// - Parameters:
    ///   - tag: what `net` is in the TXT record.
    ///   - prefix: how the names begin.
    package init(tag: String, prefix: String = "") {
        self.init(takesName: { $0.hasPrefix(prefix) }, takes: { _, text, _ in text["net"] == tag })
    }
}
