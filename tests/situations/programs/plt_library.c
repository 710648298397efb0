unsigned long tiny(unsigned long x) { return x; }
