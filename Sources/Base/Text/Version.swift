/// What this program is called in listings.
public enum Version {
    public static let current = "0.1.0"
}
