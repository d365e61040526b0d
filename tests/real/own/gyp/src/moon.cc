// SPDX-License-Identifier: MIT OR Apache-2.0
#include "phases.h"
#include <node_api.h>

static napi_value phase(napi_env env, napi_callback_info info) {
    size_t count = 1;
    napi_value day, result;
    uint32_t number;
    if (napi_get_cb_info(env, info, &count, &day, nullptr, nullptr) != napi_ok || count != 1 ||
        napi_get_value_uint32(env, day, &number) != napi_ok) {
        napi_throw_type_error(env, nullptr, "phase(day)");
        return nullptr;
    }
    const std::string name = phase_of(number);
    napi_create_string_utf8(env, name.data(), name.size(), &result);
    return result;
}

NAPI_MODULE_INIT() {
    napi_value function;
    napi_create_function(env, "phase", NAPI_AUTO_LENGTH, phase, nullptr, &function);
    napi_set_named_property(env, exports, "phase", function);
    return exports;
}
