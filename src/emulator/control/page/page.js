'use strict';
// Renews the parts of the page that change, and sends what its controls say to the control pages. The server writes all
// HTML: this script only moves nodes, and writes texts as texts.

const PERIOD = 1000;

const message = document.getElementById('message');
const editor = document.querySelector('#editor textarea');
let shownTag = null;
let loadedPolicy = null;
let isRenewing = false;

function say(text, isBad) {
  message.textContent = text;
  message.className = isBad ? 'bad' : 'good';
}

// Returns a part of this page as the server writes it now. Scripts in it don't run.
function load(part) {
  const address = new URL(location.href);
  if (part) address.searchParams.set('part', part);
  address.hash = '';
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('GET', address);
    request.setRequestHeader('Accept', 'text/html');
    request.responseType = 'document';
    request.timeout = 10000;
    request.onload = () => request.status === 200 && request.responseXML
      ? resolve({page: request.responseXML, tag: request.getResponseHeader('ETag')})
      : reject(new Error('status ' + request.status));
    request.onerror = request.ontimeout = () => reject(new Error('no answer'));
    request.send();
  });
}

// Makes the children of `old` those of `fresh`. A child that hasn't changed stays, so that it keeps what is selected or
// open in it.
function renew(old, fresh) {
  const known = new Map();
  for (const child of old.children) if (child.id) known.set(child.id, child);
  let place = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    let wanted = child.id && known.get(child.id);
    if (wanted && child.localName === 'details') child.open = wanted.open;
    if (!wanted || !wanted.isEqualNode(child)) wanted = document.importNode(child, true);
    if (wanted === place) place = place.nextSibling;
    else old.insertBefore(wanted, place);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

function renewAll(page) {
  for (const fresh of page.querySelectorAll('[data-live][id]')) {
    const old = document.getElementById(fresh.id);
    if (old && !old.isEqualNode(fresh)) renew(old, fresh);
  }
}

async function refresh() {
  if (isRenewing) return;
  isRenewing = true;
  try {
    const {page, tag} = await load('live');
    if (tag !== shownTag) {
      const [mine, theirs] = [document, page].map((where) => where.getElementById('version').dataset);
      renewAll(page);
      if (mine.version !== theirs.version) {
        renewAll((await load('')).page);
        mine.version = theirs.version;
        if (document.getElementById('editor').open && editor.value === loadedPolicy) await loadPolicy();
      }
      shownTag = tag;
    }
    if (message.dataset.lost) {
      delete message.dataset.lost;
      say('The emulator answers again.');
    }
  } catch (error) {
    message.dataset.lost = 'yes';
    say('The emulator doesn\'t answer: ' + error.message, true);
  } finally {
    isRenewing = false;
  }
}

async function send(method, url, body) {
  try {
    const reply = await fetch(url, {method, body});
    const text = await reply.text();
    if (reply.ok) {
      say('Done: ' + method + ' ' + url);
    } else {
      let problem = text;
      try { problem = JSON.parse(text).error.message; } catch { /* It isn't JSON: show it as it is. */ }
      say('Refused: ' + problem, true);
    }
  } catch (error) {
    say('The emulator doesn\'t answer: ' + error.message, true);
  }
  await refresh();
}

// Returns the fields of a form as a JSON document. Empty ones are left out.
function documentOf(form) {
  const fields = {};
  for (const field of form.elements) {
    if (field.name && field.value !== '') {
      fields[field.name] = field.dataset.type === 'number' ? Number(field.value) : field.value;
    }
  }
  return JSON.stringify(fields);
}

async function loadPolicy() {
  editor.value = loadedPolicy = await (await fetch('/emulator/policy')).text();
}

document.addEventListener('submit', (event) => {
  const {method, url, text} = event.target.dataset;
  if (!url) return;
  event.preventDefault();
  send(method, url, text ? event.target.elements[text].value : documentOf(event.target));
});

document.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-url]');
  if (button) send(button.dataset.method, button.dataset.url, button.dataset.body);
});

document.getElementById('editor').addEventListener('toggle', (event) => {
  if (event.target.open && loadedPolicy === null) loadPolicy().catch((error) => say(error.message, true));
});

setInterval(() => {
  if (!document.hidden && !document.getElementById('pause').checked) refresh();
}, PERIOD);
