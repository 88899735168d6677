const train = require('./network.cjs');

console.log(JSON.stringify(train(require('convgrad'))));
