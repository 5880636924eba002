// The oracle as a library, for llama.cpps of earlier versions, with the layers on RPC servers: see Tests/Interop/versions.py.
// Test-time only. Compiled by scripts/earlier-heads against the headers of each version.
#include <string.h>

#include "ggml-backend.h"
#include "llama.h"

static int layers;

static struct llama_model *load_with_layers(const char *path, struct llama_model_params params) {
    params.n_gpu_layers = layers;
    return llama_model_load_from_file(path, params);
}

#define llama_model_load_from_file load_with_layers
#define main oracle
#include "oracle.c"

static void add_server(const char *endpoint) {
    ggml_backend_reg_t rpc = ggml_backend_reg_by_name("RPC");
    if (!rpc) fail("there is no backend", "RPC");
    ggml_backend_reg_t (*add)(const char *) =
        (ggml_backend_reg_t (*)(const char *))ggml_backend_reg_get_proc_address(rpc, "ggml_backend_rpc_add_server");
    ggml_backend_reg_t server = add ? add(endpoint) : NULL;
    if (!server) fail("cannot add the server", endpoint);
    ggml_backend_register(server);
}

// What the oracle does for its arguments, with every layer on the servers: endpoints, separated by commas; none for this
// machine. The client is the file with the RPC backend.
int head(const char *client, const char *endpoints, int argc, char **argv) {
    char list[1024];
    if (strlen(endpoints) >= sizeof list) fail("too long", endpoints);
    strcpy(list, endpoints);
    if (list[0] && !ggml_backend_load(client)) fail("cannot load", client);
    for (char *endpoint = strtok(list, ","); endpoint; endpoint = strtok(NULL, ",")) {
        add_server(endpoint);
        layers = 99;
    }
    return oracle(argc, argv);
}
