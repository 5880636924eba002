internal import HTTPTypes
internal import Hummingbird

/// All that the server answers to.
struct RouteTable: Sendable {
    typealias Handler = @Sendable (Request, ServerContext) async throws -> Response

    struct Route: Sendable {
        let method: HTTPRequest.Method
        /// As Hummingbird writes paths; `/**` at the end takes any rest.
        let path: String
        let handler: Handler
    }

    /// What says whether the server lives.
    static let healthPaths: Set<String> = ["/health", "/v1/health"]

    /// Paths that need no key and are answered while the server is stopping.
    static let openPaths = healthPaths.union(PageFile.paths)

    /// What a page asks for again and again.
    static let watchedPaths: Set<String> = ["/v1/nodes", "/nodes", "/v1/models", "/models", "/api/p2p"]

    /// Paths that are answered however busy the server is, and while it is stopping.
    static let uncountedPaths = openPaths.union(["/v1/nodes", "/nodes", "/v1/events", "/events", "/metrics", "/slots"]).union(networkPaths)

    /// Paths that are answered while the model is being loaded.
    static let earlyPaths = PageFile.paths.union(["/v1/events", "/events"]).union(networkPaths)

    private static let networkPaths: Set<String> = ["/api/p2p", "/api/p2p/workers", "/api/p2p/stats", "/api/p2p/token"]

    /// Paths whose errors are told as llama.cpp's server, whose they are, tells them.
    static let nativePaths: Set<String> = [
        "/completion", "/completions", "/embedding", "/embeddings", "/apply-template", "/props", "/slots",
    ]

    let routes: [Route]

    /// - Parameter routes: those under `/v1` are reached without it, too, where nothing else is there: clients that have it in their base
    ///   address and clients that do not are answered alike.
    init(routes: [Route]) {
        let paths = Set(routes.map(\.path))
        let short = routes.compactMap { route -> Route? in
            guard route.path.hasPrefix("/v1/") else { return nil }
            let path = String(route.path.dropFirst(3))
            return paths.contains(path) ? nil : Route(method: route.method, path: path, handler: route.handler)
        }
        self.routes = routes + short
    }

    /// The methods that a request's path can be asked with.
    func methods(of path: String) -> [HTTPRequest.Method] {
        routes.filter { route in
            if route.path.hasSuffix("/**") { return path.hasPrefix(route.path.dropLast(2)) && path.utf8.count > route.path.utf8.count - 2 }
            return route.path == path
        }.map(\.method)
    }

    func register(in router: Router<ServerContext>) {
        for route in routes {
            router.on(RouterPath(route.path), method: route.method, use: route.handler)
        }
    }
}

extension Request {
    /// What of the path stands behind a prefix, with `/v1` or without.
    func path(after prefix: String) -> Substring {
        let path = uri.path
        let short = path.hasPrefix("/v1/") ? path.dropFirst(3) : path[...]
        return short.dropFirst(prefix.count)
    }
}
