/* SPDX-License-Identifier: MIT OR Apache-2.0
 * The smallest program that the dynamic loader starts: what is left is the start itself. */
int main(void)
{
    return 0;
}
