import * as convgrad from 'convgrad';
import train from './network.cjs';

console.log(JSON.stringify(train(convgrad)));
