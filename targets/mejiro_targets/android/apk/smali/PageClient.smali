# What the page asks of the app: the camera, and a file to open.

.class final Lorg/mejiro/shell/PageClient;
.super Landroid/webkit/WebChromeClient;

.field private final activity:Lorg/mejiro/shell/PageActivity;


.method constructor <init>(Lorg/mejiro/shell/PageActivity;)V
    .registers 2

    invoke-direct {p0}, Landroid/webkit/WebChromeClient;-><init>()V
    iput-object p1, p0, Lorg/mejiro/shell/PageClient;->activity:Lorg/mejiro/shell/PageActivity;
    return-void
.end method


.method public onPermissionRequest(Landroid/webkit/PermissionRequest;)V
    .registers 6

    invoke-virtual {p1}, Landroid/webkit/PermissionRequest;->getOrigin()Landroid/net/Uri;
    move-result-object v0
    invoke-static {v0}, Lorg/mejiro/shell/SiteClient;->isSite(Landroid/net/Uri;)Z
    move-result v0
    if-eqz v0, :deny

    invoke-virtual {p1}, Landroid/webkit/PermissionRequest;->getResources()[Ljava/lang/String;
    move-result-object v0
    array-length v1, v0
    const/4 v2, 0x0

    :next
    if-ge v2, v1, :deny
    aget-object v3, v0, v2
    add-int/lit8 v2, v2, 0x1
    invoke-static {v3}, Lorg/mejiro/shell/PageClient;->isCamera(Ljava/lang/String;)Z
    move-result v3
    if-eqz v3, :next
    iget-object v0, p0, Lorg/mejiro/shell/PageClient;->activity:Lorg/mejiro/shell/PageActivity;
    invoke-virtual {v0, p1}, Lorg/mejiro/shell/PageActivity;->takeRequest(Landroid/webkit/PermissionRequest;)V
    return-void

    :deny
    invoke-virtual {p1}, Landroid/webkit/PermissionRequest;->deny()V
    return-void
.end method


.method private static isCamera(Ljava/lang/String;)Z
    .registers 2

    const-string v0, "android.webkit.resource.VIDEO_CAPTURE"
    invoke-virtual {v0, p0}, Ljava/lang/String;->equals(Ljava/lang/Object;)Z
    move-result v0
    return v0
.end method


.method public onPermissionRequestCanceled(Landroid/webkit/PermissionRequest;)V
    .registers 3

    iget-object v0, p0, Lorg/mejiro/shell/PageClient;->activity:Lorg/mejiro/shell/PageActivity;
    invoke-virtual {v0, p1}, Lorg/mejiro/shell/PageActivity;->dropRequest(Landroid/webkit/PermissionRequest;)V
    return-void
.end method


.method public onShowFileChooser(Landroid/webkit/WebView;Landroid/webkit/ValueCallback;Landroid/webkit/WebChromeClient$FileChooserParams;)Z
    .registers 5

    iget-object v0, p0, Lorg/mejiro/shell/PageClient;->activity:Lorg/mejiro/shell/PageActivity;
    invoke-virtual {v0, p2}, Lorg/mejiro/shell/PageActivity;->choose(Landroid/webkit/ValueCallback;)Z
    move-result v0
    return v0
.end method
