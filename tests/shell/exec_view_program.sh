#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: programs and scripts that exist only in the view run, by any path and by any call, and
# know themselves by their view path.
. "${0%/*}/lib.sh"

tree() {
    cat >self.c <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    char exe[4096] = "";
    if (readlink("/proc/self/exe", exe, sizeof exe - 1) < 0) return 99;
    printf("%s %s %d\n", argv[0], exe, argc - 1);
    return argc > 1 ? atoi(argv[1]) : 0;
}
END
    mkdir bin tools sub
    printf '#!/bin/sh\necho script $0 $# "$@"\n' >tools/from_tree && chmod +x tools/from_tree
}

programs() {
    gcc -o bin/self self.c
    exe=$VIEW/bin/self
    is "$(bin/self)" "bin/self $exe 0" 'by a relative path'
    is "$("$exe" 0 x)" "$exe $exe 2" 'by an absolute path'
    is "$(PATH="$VIEW/bin:$PATH"; self)" "self $exe 0" 'from a PATH entry in the view'
    is "$(PATH="bin:$PATH"; self)" "self $exe 0" 'from a relative PATH entry'
    is "$(cd sub && ../bin/self)" "../bin/self $exe 0" 'from another directory'
    is "$(env bin/self | cut -d' ' -f2; nice bin/self | cut -d' ' -f2; echo 0 | xargs bin/self | cut -d' ' -f2)" "$exe
$exe
$exe" 'through env, nice and xargs'
    ln -s bin/self soft
    is "$(./soft)" "./soft $exe 0" 'through a symlink'
    cp bin/self bin/copy
    is "$(bin/copy)" "bin/copy $VIEW/bin/copy 0" 'a copy has its own name'
    mv bin/copy bin/moved
    is "$(bin/moved)" "bin/moved $VIEW/bin/moved 0" 'a renamed one its new name'
    cp /bin/echo bin/echo
    is "$(bin/echo hello)" hello 'a program copied into the view'
    exits 7 'its exit code arrives' sh -c 'bin/self 7 >/dev/null'
    exits 127 'a missing one is 127' sh -c 'bin/missing 2>/dev/null'
    exits 126 'one that is not executable is 126' sh -c './self.c 2>/dev/null'
    exits 143 'a signal is 128+n' sh -c 'sh -c "kill -TERM \$\$"; exit $?'
    is "$(bash -c 'exec -a other bin/self')" "other $exe 0" 'with another argv[0]'
}

# Rights come with a program of the real directory alone.
set_ids() {
    cp bin/self bin/by_user && chmod 4755 bin/by_user
    cp bin/self bin/by_group && chmod 2755 bin/by_group
    native && return
    is "$(bin/by_user 2>&1 >/dev/null)" 'vrift: by_user has the set-user-ID bit, which means nothing in a view' 'a set-user-ID program is named'
    is "$(bin/by_group 2>&1 >/dev/null)" 'vrift: by_group has the set-group-ID bit, which means nothing in a view' 'and a set-group-ID program'
}

scripts() {
    is "$(tools/from_tree a 'b c')" 'script tools/from_tree 2 a b c' 'a script of the tree'
    printf '#!/bin/sh\necho $0; cat "${0%%/*}/beside"\n' >tools/script && chmod +x tools/script && echo beside >tools/beside
    is "$(tools/script)" "tools/script
beside" '$0 is as given'
    is "$("$VIEW/tools/script")" "$VIEW/tools/script
beside" 'or the view path'
    is "$(PATH="$VIEW/tools:$PATH"; script)" "$VIEW/tools/script
beside" 'also from PATH'
    printf '#!%s/bin/self 3 extra\n' "$VIEW" >interp && chmod +x interp
    is "$(./interp; echo $?)" "$VIEW/bin/self $VIEW/bin/self 2
3" 'an interpreter in the view gets one argument and the script'
    printf '#! /usr/bin/env sh\necho by env $0\n' >env_script && chmod +x env_script
    is "$(./env_script)" 'by env ./env_script' '/usr/bin/env as interpreter'
    printf '#!/bin/missing\n' >bad && chmod +x bad
    expect ENOENT execv ./bad
    printf 'echo no line one $0\n' >plain && chmod +x plain
    is "$(./plain)" 'no line one ./plain' 'a script without #!'
    expect ENOEXEC execv ./plain
    : >empty && chmod +x empty
    expect ENOEXEC execv ./empty
    expect EACCES execv ./self.c
    expect EACCES execv ./bin
    expect ENOENT execv ./missing
    expect ENOTDIR execv ./plain/x
    printf '#!/bin/bash\necho "${BASH_SOURCE[0]}"\n' >bashed && chmod +x bashed
    is "$(./bashed)" ./bashed 'bash names the script too'
}

libraries() {
    echo 'int answer(void) { return 42; }' >answer.c
    printf 'int answer(void);\nint main(void) { return answer(); }\n' >ask.c
    mkdir lib && gcc -shared -fPIC -o lib/libanswer.so answer.c
    gcc -o bin/ask ask.c -Llib -lanswer '-Wl,-rpath,$ORIGIN/../lib'
    exits 42 '$ORIGIN in a run path' bin/ask
    gcc -o bin/ask2 ask.c -Llib -lanswer "-Wl,-rpath,$VIEW/lib"
    exits 42 'a run path in the view' bin/ask2
    gcc -o bin/ask3 ask.c -Llib -lanswer
    exits 42 'LD_LIBRARY_PATH in the view' env LD_LIBRARY_PATH="$VIEW/lib" bin/ask3
}

checks() {
    programs
    set_ids
    scripts
    libraries
    helper exec_calls "$VIEW"
}

after() { only_in_view bin/self tools/script lib/libanswer.so; }
main
