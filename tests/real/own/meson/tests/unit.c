/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "tally.h"
#include <assert.h>
#include <string.h>

int main(void) {
    const char *text = "a quick fox";
    assert(tally_known(text, strlen(text)) == 2);
    assert(tally_file("/") < 0);
    return 0;
}
