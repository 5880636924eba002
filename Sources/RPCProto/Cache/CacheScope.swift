internal import Crypto

/// Who stored a content: names that one scope gives are never looked at for another.
enum CacheScope {
    /// A file's name for a scope, another for every scope. What is short and plain stands for itself; the rest is
    /// hashed, behind a sign that nothing plain has. Capitals are not plain: some file systems do not tell them apart.
    static func folderName(_ scope: String) -> String {
        let isPlain = scope.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
            case UInt8(ascii: "."), UInt8(ascii: ":"), UInt8(ascii: "-"), UInt8(ascii: "_"): true
            default: false
            }
        }
        if isPlain, (1...64).contains(scope.utf8.count), !scope.hasPrefix(".") { return scope }
        var hash = SHA256()
        Array(scope.utf8).withUnsafeBytes { hash.update(bufferPointer: $0) }
        return "~" + ContentDigest(hash).digits
    }
}
