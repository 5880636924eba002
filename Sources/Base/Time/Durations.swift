extension Duration {
    /// Rounded to microseconds.
    package var milliseconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) * 1e3 + (Double(attoseconds) / 1e12).rounded() / 1e3
    }

    /// Things in a second; 0 where there was no time.
    package func rate(of count: Int) -> Double {
        let milliseconds = milliseconds
        return milliseconds > 0 ? (Double(count) * 1e5 / milliseconds).rounded() / 1e2 : 0
    }
}
