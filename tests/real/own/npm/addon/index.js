module.exports = require('./build/hands.node');
