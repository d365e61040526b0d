/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <node_api.h>

/* angle(hours, minutes): degrees between the two hands of a clock. */
static napi_value angle(napi_env env, napi_callback_info info) {
    size_t count = 2;
    napi_value args[2], result;
    double hours, minutes;
    if (napi_get_cb_info(env, info, &count, args, NULL, NULL) != napi_ok || count != 2 ||
        napi_get_value_double(env, args[0], &hours) != napi_ok ||
        napi_get_value_double(env, args[1], &minutes) != napi_ok) {
        napi_throw_type_error(env, NULL, "angle(hours, minutes)");
        return NULL;
    }
    double apart = hours * 30 + minutes / 2 - minutes * 6;
    while (apart < 0) apart += 360;
    napi_create_double(env, apart > 180 ? 360 - apart : apart, &result);
    return result;
}

NAPI_MODULE_INIT() {
    napi_value function;
    napi_create_function(env, "angle", NAPI_AUTO_LENGTH, angle, NULL, &function);
    napi_set_named_property(env, exports, "angle", function);
    return exports;
}
