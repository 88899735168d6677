// What a script costs that does nothing.
console.log(JSON.stringify({ rss: process.memoryUsage.rss() }));
