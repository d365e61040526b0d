# SPDX-License-Identifier: MIT OR Apache-2.0
# pjdfstest as an ordinary user.
. "$here/pjdfstest.sh"
as_user=1
