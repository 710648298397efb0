// Functions that V8 compiles at run time; main is C++'s.
'use strict';

function leaf(n) {
  let x = 1;
  for (let i = 0; i < n; i++) x = (x * 1103515245 + i) % 2147483648;
  return x;
}

function middle() {
  let sum = 0;
  for (let i = 0; i < 20; i++) sum += leaf(1000000);
  return sum;
}

// Warm first, so that what runs has been compiled for good.
for (let i = 0; i < 10; i++) middle();
console.log('READY');
for (const end = Date.now() + 30000; Date.now() < end;) middle();
