internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

/// The page at `/` and its files. They hold nothing that needs a key: the page asks for one when the API wants it.
enum PageRoutes {
    static let all = PageFile.all.flatMap { file in
        let paths = file.path == "/index.html" ? ["/", file.path] : [file.path]
        return paths.map { path in
            RouteTable.Route(method: .get, path: path) { request, _ in answer(file, request) }
        }
    }

    private static func answer(_ file: PageFile, _ request: Request) -> Response {
        let tag = "\"\(file.digest)\""
        var headers = headers
        headers[.eTag] = tag
        if let known = request.headers[.ifNoneMatch], names(known, tag) { return Response(status: .notModified, headers: headers) }
        headers[.contentType] = file.type
        return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(string: file.text)))
    }

    /// Whether a list of tags, weak ones among them, has this one.
    private static func names(_ list: String, _ tag: String) -> Bool {
        list.split(separator: ",").contains { part in
            let known = part.drop { $0 == " " }.prefix { $0 != " " }
            return known == "*" || known == tag || known == "W/\(tag)"
        }
    }

    /// What a browser may do with the page: nothing but ask this server. Models write what is shown, so nothing written becomes a script.
    private static let headers: HTTPFields = {
        var headers: HTTPFields = [
            // Kept, and asked for again each time: another program has other files.
            .cacheControl: "no-cache",
            .contentSecurityPolicy: """
            default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
            form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'
            """,
        ]
        for (name, value) in [
            ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"), ("X-Frame-Options", "DENY"),
            ("Cross-Origin-Opener-Policy", "same-origin"), ("Cross-Origin-Resource-Policy", "same-origin"),
        ] {
            if let name = HTTPField.Name(name) { headers[name] = value }
        }
        return headers
    }()
}
