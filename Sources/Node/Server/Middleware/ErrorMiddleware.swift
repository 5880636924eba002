internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import NodeEngine

/// Turns whatever goes wrong into an answer of OpenAI's shape, and says 405 where a path exists but not with this method.
struct ErrorMiddleware: RouterMiddleware {
    typealias Context = ServerContext

    /// Which methods each path has.
    let routes: RouteTable

    func handle(
        _ request: Request, context: ServerContext, next: (Request, ServerContext) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let error as APIError {
            return answer(error, request, context)
        } catch let error as EngineError {
            if case .failed(let reason) = error { context.logger.error("the engine failed: \(reason)") }
            return answer(APIError(error), request, context)
        } catch let error as HTTPError {
            return answer(apiError(error, request), request, context)
        } catch is CancellationError {
            return answer(.stopping, request, context)
        } catch let error as ChannelError {
            // There is nobody left to answer; the connection's own handler cleans up.
            throw error
        } catch {
            context.logger.error("unexpected error: \(error)")
            let error = APIError(
                .internalServerError, .server, "The server could not answer because of an internal error.", code: "internal_error")
            return answer(error, request, context)
        }
    }

    private func answer(_ error: APIError, _ request: Request, _ context: ServerContext) -> Response {
        let isNative = RouteTable.nativePaths.contains(request.uri.path)
        return (isNative ? error.asStock : error).response(from: request, context: context)
    }

    /// A path that there is, where only `/v1` is missing or too much, or a slash at the end.
    private func neighbour(of path: String) -> String? {
        let plain = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
        let others = [plain, "/v1" + plain, plain.hasPrefix("/v1/") ? String(plain.dropFirst(3)) : plain]
        return others.first { $0 != path && !routes.methods(of: $0).isEmpty }
    }

    private func apiError(_ error: HTTPError, _ request: Request) -> APIError {
        let path = request.uri.path
        switch error.status {
        case .notFound:
            let allowed = routes.methods(of: path)
            if allowed.isEmpty {
                let hint = neighbour(of: path).map { " Did you mean '\($0)'?" } ?? ""
                return APIError(.notFound, .notFound, "There is nothing at '\(path.prefix(200))'.\(hint)", code: "not_found")
            }
            return APIError(
                .methodNotAllowed, .invalidRequest, "'\(path.prefix(200))' cannot be asked with \(request.method.rawValue).",
                code: "method_not_allowed", headers: [.allow: allowed.map(\.rawValue).joined(separator: ", ")])
        case let status where status.kind == .clientError:
            return APIError(
                status, .invalidRequest, APIError.sentence(error.body ?? "the request is malformed: \(status.reasonPhrase)"))
        case let status:
            return APIError(status, .server, status.reasonPhrase, code: "internal_error")
        }
    }
}
