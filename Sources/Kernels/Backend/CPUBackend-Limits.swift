extension CPUBackend {
    /// How much of the machine graphs and buffers may take.
    public struct Limits: Sendable {
        /// Bytes that buffers may have in all, over all lanes; nil for no more than there is.
        public var memory: Int?
        /// Whether a buffer that the system could not fill is refused at once. Otherwise only memory that is touched
        /// counts, as suits a program that knows what it will touch.
        public var refusesOvercommitment = false
        /// Seconds that one graph may compute, turns of others not counted; nil for any. A graph whose estimate is longer
        /// is not prepared, one that takes longer is stopped.
        public var graphSeconds: Double?
        /// Where memory is counted together with other backends', in the place of an account of its own by the two limits above.
        package var ledger: MemoryLedger?

        public init() {}

        /// No limits but the system's own.
        public static let none = Limits()
    }
}
