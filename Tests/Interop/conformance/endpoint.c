// A backend for stock's test-backend-ops (GGML_BACKEND_PATH) that is a worker at the other end of a socket:
// SWIFTLET_TEST_ENDPOINT names it, host:port. The program itself has no option for that.
#include <ggml-backend.h>
#include <stdio.h>
#include <stdlib.h>

ggml_backend_reg_t ggml_backend_init(void);

ggml_backend_reg_t ggml_backend_init(void) {
    const char *endpoint = getenv("SWIFTLET_TEST_ENDPOINT");
    ggml_backend_reg_t rpc = ggml_backend_reg_by_name("RPC");
    if (endpoint == NULL || rpc == NULL) {
        fprintf(stderr, "endpoint: %s\n", endpoint == NULL ? "SWIFTLET_TEST_ENDPOINT is not set" : "there is no RPC backend");
        return NULL;
    }
    ggml_backend_reg_t (*add_server)(const char *) =
        (ggml_backend_reg_t (*)(const char *))ggml_backend_reg_get_proc_address(rpc, "ggml_backend_rpc_add_server");
    return add_server == NULL ? NULL : add_server(endpoint);
}
