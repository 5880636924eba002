internal import HTTPTypes
internal import Hummingbird
internal import Logging

/// Writes a line for each request when its answer is through: method, path, status, milliseconds, tokens.
struct LogMiddleware: RouterMiddleware {
    typealias Context = ServerContext

    let logger: Logger

    func handle(
        _ request: Request, context: ServerContext, next: (Request, ServerContext) async throws -> Response
    ) async throws -> Response {
        let start = ContinuousClock.now
        let method = request.method
        let path = request.uri.path
        var response: Response
        do {
            response = try await next(request, context)
        } catch {
            log(method, path, status: nil, outcome: "\(error)", since: start, context.record)
            throw error
        }
        let status = response.status.code
        guard response.body.contentLength == nil else {
            log(method, path, status: status, outcome: context.record.outcome, since: start, context.record)
            return response
        }
        let body = response.body
        let record = context.record
        response.body = ResponseBody { writer in
            do {
                try await body.write(writer)
            } catch {
                log(method, path, status: status, outcome: record.outcome ?? "client gone", since: start, record)
                throw error
            }
            log(method, path, status: status, outcome: record.outcome, since: start, record)
        }
        return response
    }

    private func log(
        _ method: HTTPRequest.Method, _ path: String, status: Int?, outcome: String?, since start: ContinuousClock.Instant,
        _ record: RequestRecord
    ) {
        var line = "\(method.rawValue) \(LogMiddleware.printable(path)) \(status.map(String.init) ?? "-")"
        let milliseconds = start.duration(to: .now).milliseconds
        line += " \(Int(milliseconds)) ms"
        if let usage = record.usage {
            line += " prompt \(usage.promptTokens) (\(usage.cachedTokens) cached) answer \(usage.completionTokens)"
        }
        if let outcome { line += " [\(outcome)]" }
        logger.log(level: LogMiddleware.isNews(path, status) ? .info : .debug, "\(line)")
    }

    /// Being asked whether one lives is none, nor what a page asks for every second, as long as it gets it.
    private static func isNews(_ path: String, _ status: Int?) -> Bool {
        if RouteTable.openPaths.contains(path) { return false }
        return !(RouteTable.watchedPaths.contains(path) && status.map { $0 < 400 } ?? false)
    }

    /// A path comes from outside: what could forge lines or colours in a log is written as `?`.
    private static func printable(_ path: String) -> String {
        String(String.UnicodeScalarView(path.unicodeScalars.prefix(200).map { $0.value < 0x20 || $0.value == 0x7f ? "?" : $0 }))
    }
}
