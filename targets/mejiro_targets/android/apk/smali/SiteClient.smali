# Answer every request of the page from the assets under site/, and refuse all others.

.class final Lorg/mejiro/shell/SiteClient;
.super Landroid/webkit/WebViewClient;

.field private final activity:Lorg/mejiro/shell/PageActivity;


.method constructor <init>(Lorg/mejiro/shell/PageActivity;)V
    .registers 2

    invoke-direct {p0}, Landroid/webkit/WebViewClient;-><init>()V
    iput-object p1, p0, Lorg/mejiro/shell/SiteClient;->activity:Lorg/mejiro/shell/PageActivity;
    return-void
.end method


# Return whether an address is the site's: the host that Android reserves for an app's assets.
.method static isSite(Landroid/net/Uri;)Z
    .registers 3

    if-eqz p0, :no
    const-string v0, "https"
    invoke-virtual {p0}, Landroid/net/Uri;->getScheme()Ljava/lang/String;
    move-result-object v1
    invoke-virtual {v0, v1}, Ljava/lang/String;->equals(Ljava/lang/Object;)Z
    move-result v0
    if-eqz v0, :no
    const-string v0, "appassets.androidplatform.net"
    invoke-virtual {p0}, Landroid/net/Uri;->getEncodedAuthority()Ljava/lang/String;
    move-result-object v1
    invoke-virtual {v0, v1}, Ljava/lang/String;->equals(Ljava/lang/Object;)Z
    move-result v0
    return v0

    :no
    const/4 v0, 0x0
    return v0
.end method


# Called in a thread of the WebView's own.
.method public shouldInterceptRequest(Landroid/webkit/WebView;Landroid/webkit/WebResourceRequest;)Landroid/webkit/WebResourceResponse;
    .registers 4

    iget-object v0, p0, Lorg/mejiro/shell/SiteClient;->activity:Lorg/mejiro/shell/PageActivity;
    invoke-static {v0, p2}, Lorg/mejiro/shell/SiteClient;->answer(Landroid/content/Context;Landroid/webkit/WebResourceRequest;)Landroid/webkit/WebResourceResponse;
    move-result-object v0
    return-object v0
.end method


.method static answer(Landroid/content/Context;Landroid/webkit/WebResourceRequest;)Landroid/webkit/WebResourceResponse;
    .registers 6

    invoke-interface {p1}, Landroid/webkit/WebResourceRequest;->getUrl()Landroid/net/Uri;
    move-result-object v0
    invoke-static {v0}, Lorg/mejiro/shell/SiteClient;->isSite(Landroid/net/Uri;)Z
    move-result v1
    if-nez v1, :ours

    # What the page made itself goes nowhere: data: is the WebView's own business.
    const-string v1, "data"
    invoke-virtual {v0}, Landroid/net/Uri;->getScheme()Ljava/lang/String;
    move-result-object v2
    invoke-virtual {v1, v2}, Ljava/lang/String;->equals(Ljava/lang/Object;)Z
    move-result v1
    if-eqz v1, :foreign
    const/4 v0, 0x0
    return-object v0

    :foreign
    const/16 v0, 0x193
    const-string v1, "Forbidden"
    invoke-static {v0, v1}, Lorg/mejiro/shell/SiteClient;->refuse(ILjava/lang/String;)Landroid/webkit/WebResourceResponse;
    move-result-object v0
    return-object v0

    :ours
    const-string v1, "GET"
    invoke-interface {p1}, Landroid/webkit/WebResourceRequest;->getMethod()Ljava/lang/String;
    move-result-object v2
    invoke-virtual {v1, v2}, Ljava/lang/String;->equals(Ljava/lang/Object;)Z
    move-result v1
    if-nez v1, :get
    const/16 v0, 0x195
    const-string v1, "Method Not Allowed"
    invoke-static {v0, v1}, Lorg/mejiro/shell/SiteClient;->refuse(ILjava/lang/String;)Landroid/webkit/WebResourceResponse;
    move-result-object v0
    return-object v0

    :get
    invoke-virtual {v0}, Landroid/net/Uri;->getPath()Ljava/lang/String;
    move-result-object v0
    invoke-static {v0}, Lorg/mejiro/shell/SiteClient;->assetOf(Ljava/lang/String;)Ljava/lang/String;
    move-result-object v0
    if-eqz v0, :missing

    :try_start
    invoke-virtual {p0}, Landroid/content/Context;->getAssets()Landroid/content/res/AssetManager;
    move-result-object v1
    invoke-virtual {v1, v0}, Landroid/content/res/AssetManager;->open(Ljava/lang/String;)Ljava/io/InputStream;
    move-result-object v1
    :try_end
    .catch Ljava/io/IOException; {:try_start .. :try_end} :unreadable

    invoke-static {v0, v1}, Lorg/mejiro/shell/SiteClient;->serve(Ljava/lang/String;Ljava/io/InputStream;)Landroid/webkit/WebResourceResponse;
    move-result-object v0
    return-object v0

    :unreadable
    move-exception v1

    :missing
    const/16 v0, 0x194
    const-string v1, "Not Found"
    invoke-static {v0, v1}, Lorg/mejiro/shell/SiteClient;->refuse(ILjava/lang/String;)Landroid/webkit/WebResourceResponse;
    move-result-object v0
    return-object v0
.end method


# Return the asset that a path of the site names, or null if it names none.
.method static assetOf(Ljava/lang/String;)Ljava/lang/String;
    .registers 3

    if-eqz p0, :none
    const-string v0, "/"
    invoke-virtual {p0, v0}, Ljava/lang/String;->startsWith(Ljava/lang/String;)Z
    move-result v1
    if-eqz v1, :none
    const-string v1, ".."
    invoke-virtual {p0, v1}, Ljava/lang/String;->contains(Ljava/lang/CharSequence;)Z
    move-result v1
    if-nez v1, :none

    invoke-virtual {p0, v0}, Ljava/lang/String;->endsWith(Ljava/lang/String;)Z
    move-result v1
    if-eqz v1, :named
    const-string v1, "index.html"
    invoke-virtual {p0, v1}, Ljava/lang/String;->concat(Ljava/lang/String;)Ljava/lang/String;
    move-result-object p0

    :named
    const-string v1, "site"
    invoke-virtual {v1, p0}, Ljava/lang/String;->concat(Ljava/lang/String;)Ljava/lang/String;
    move-result-object v0
    return-object v0

    :none
    const/4 v0, 0x0
    return-object v0
.end method


.method private static serve(Ljava/lang/String;Ljava/io/InputStream;)Landroid/webkit/WebResourceResponse;
    .registers 9

    invoke-static {p0}, Lorg/mejiro/shell/MimeTypes;->of(Ljava/lang/String;)Ljava/lang/String;
    move-result-object v1
    const/4 v2, 0x0
    const-string v3, "text/"
    invoke-virtual {v1, v3}, Ljava/lang/String;->startsWith(Ljava/lang/String;)Z
    move-result v3
    if-eqz v3, :binary
    const-string v2, "utf-8"

    :binary
    new-instance v5, Ljava/util/HashMap;
    invoke-direct {v5}, Ljava/util/HashMap;-><init>()V
    const-string v3, "Cache-Control"
    const-string v4, "no-cache"
    invoke-interface {v5, v3, v4}, Ljava/util/Map;->put(Ljava/lang/Object;Ljava/lang/Object;)Ljava/lang/Object;
    const-string v3, "X-Content-Type-Options"
    const-string v4, "nosniff"
    invoke-interface {v5, v3, v4}, Ljava/util/Map;->put(Ljava/lang/Object;Ljava/lang/Object;)Ljava/lang/Object;
    new-instance v0, Landroid/webkit/WebResourceResponse;
    const/16 v3, 0xc8
    const-string v4, "OK"
    move-object v6, p1
    invoke-direct/range {v0 .. v6}, Landroid/webkit/WebResourceResponse;-><init>(Ljava/lang/String;Ljava/lang/String;ILjava/lang/String;Ljava/util/Map;Ljava/io/InputStream;)V
    return-object v0
.end method


.method private static refuse(ILjava/lang/String;)Landroid/webkit/WebResourceResponse;
    .registers 9

    new-instance v0, Landroid/webkit/WebResourceResponse;
    const-string v1, "text/plain"
    const-string v2, "utf-8"
    move v3, p0
    move-object v4, p1
    new-instance v5, Ljava/util/HashMap;
    invoke-direct {v5}, Ljava/util/HashMap;-><init>()V
    new-instance v6, Ljava/io/ByteArrayInputStream;
    const/4 p0, 0x0
    new-array p0, p0, [B
    invoke-direct {v6, p0}, Ljava/io/ByteArrayInputStream;-><init>([B)V
    invoke-direct/range {v0 .. v6}, Landroid/webkit/WebResourceResponse;-><init>(Ljava/lang/String;Ljava/lang/String;ILjava/lang/String;Ljava/util/Map;Ljava/io/InputStream;)V
    return-object v0
.end method


# Links: the site's stay here, others that the user touched open in the browser, the rest nowhere.
.method public shouldOverrideUrlLoading(Landroid/webkit/WebView;Landroid/webkit/WebResourceRequest;)Z
    .registers 6

    invoke-interface {p2}, Landroid/webkit/WebResourceRequest;->getUrl()Landroid/net/Uri;
    move-result-object v0
    invoke-static {v0}, Lorg/mejiro/shell/SiteClient;->isSite(Landroid/net/Uri;)Z
    move-result v1
    if-eqz v1, :foreign
    const/4 v0, 0x0
    return v0

    :foreign
    invoke-interface {p2}, Landroid/webkit/WebResourceRequest;->hasGesture()Z
    move-result v1
    if-eqz v1, :done
    const-string v1, "https"
    invoke-virtual {v0}, Landroid/net/Uri;->getScheme()Ljava/lang/String;
    move-result-object v2
    invoke-virtual {v1, v2}, Ljava/lang/String;->equals(Ljava/lang/Object;)Z
    move-result v1
    if-eqz v1, :done

    :try_start
    new-instance v1, Landroid/content/Intent;
    const-string v2, "android.intent.action.VIEW"
    invoke-direct {v1, v2, v0}, Landroid/content/Intent;-><init>(Ljava/lang/String;Landroid/net/Uri;)V
    iget-object v0, p0, Lorg/mejiro/shell/SiteClient;->activity:Lorg/mejiro/shell/PageActivity;
    invoke-virtual {v0, v1}, Landroid/content/Context;->startActivity(Landroid/content/Intent;)V
    :try_end
    .catch Landroid/content/ActivityNotFoundException; {:try_start .. :try_end} :nobody

    goto :done

    :nobody
    move-exception v0

    :done
    const/4 v0, 0x1
    return v0
.end method


# The page's process ended, most often for want of memory (Android 8 and newer; before, the app ends).
# To load the page again by itself could go on for ever.
.method public onRenderProcessGone(Landroid/webkit/WebView;Landroid/webkit/RenderProcessGoneDetail;)Z
    .registers 5

    iget-object v0, p0, Lorg/mejiro/shell/SiteClient;->activity:Lorg/mejiro/shell/PageActivity;
    const v1, 0x7f030003
    invoke-virtual {v0, v1}, Lorg/mejiro/shell/PageActivity;->tell(I)V
    invoke-virtual {v0}, Landroid/app/Activity;->finish()V
    const/4 v0, 0x1
    return v0
.end method
