// Names of D.
module shop;

import core.stdc.stdio;
import core.volatile;
import core.sys.posix.unistd : alarm;

__gshared ulong sink = 1;

pragma(inline, false)
ulong leaf(ulong x)
{
    foreach (ulong i; 0 .. 20_000_000)
        x = (x ^ i) * 6364136223846793005UL + 1;
    return x;
}

struct Cart
{
    ulong items;
    pragma(inline, false)
    ulong middle(ulong x)
    {
        items = leaf(x) + 1;
        return items;
    }
}

pragma(inline, false)
ulong outer(ulong x)
{
    Cart cart;
    return cart.middle(x) + cart.items;
}

extern (C) int main()
{
    alarm(60);
    puts("READY");
    fflush(stdout);
    for (;;)
        volatileStore(&sink, outer(volatileLoad(&sink)));
}
